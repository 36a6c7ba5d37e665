"""Boxes as masks of instances without one."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from davpt_seg.datasets.box_masks import BoxMasks

pytest.importorskip("mmdet")
HEIGHT, WIDTH = 40, 50
TRIANGLE = [[2.0, 2.0, 20.0, 2.0, 2.0, 20.0]]


def masks(instances: list[dict[str, Any]], box_masks: bool = True) -> np.ndarray:
    """Return the masks (N, H, W) that mmdet's LoadAnnotations reads."""
    from mmdet.datasets.transforms import LoadAnnotations

    results = dict(instances=instances, ori_shape=(HEIGHT, WIDTH), height=HEIGHT, width=WIDTH)
    loaded = LoadAnnotations(with_mask=True, poly2mask=True)(BoxMasks()(results) if box_masks else results)
    return loaded["gt_masks"].masks


def instance(box: list[float], **mask: Any) -> dict[str, Any]:
    return dict(bbox=box, bbox_label=0, ignore_flag=0, **mask)


def test_the_mask_of_an_instance_without_one_is_the_pixels_of_its_box() -> None:
    """pycocotools rounds corners to whole pixels; boxes with whole corners are exact."""
    rng = np.random.default_rng(0)
    for whole in (True, False):
        corners = [rng.uniform((0, 0, 5, 5), (30, 25, 20, 15)) for _ in range(30)]
        boxes = [[x, y, x + width, y + height] for x, y, width, height in corners]
        boxes = np.round(boxes) if whole else np.array(boxes)
        kinds = [{}, {"mask": []}, {"mask": None}]
        found = masks([instance(box.tolist(), **kinds[place % 3]) for place, box in enumerate(boxes)])
        for mask, (left, top, right, bottom) in zip(found, boxes):
            rows, columns = np.nonzero(mask)
            assert mask.sum() == (np.ptp(rows) + 1) * (np.ptp(columns) + 1)  # a filled rectangle
            edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            np.testing.assert_allclose(edges, (left, top, right, bottom), atol=0 if whole else 1)


def test_other_masks_and_the_callers_instances_are_unchanged() -> None:
    box = [2.0, 2.0, 20.0, 20.0]
    given = [instance(box, mask=TRIANGLE), instance(box)]
    found = masks(given)
    assert np.array_equal(found[0], masks([given[0]], box_masks=False)[0])
    assert found[0].sum() < 0.6 * found[1].sum()
    assert "mask" not in given[1]
