"""Label maps of guidance from mmdet's data samples, as its pipelines pack them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from davpt_seg.core.guidance.targets import Labelling
from davpt_seg.engine.batch_labels import batch_labels

pytest.importorskip("mmdet")
VOID, SIZE = 255, (40, 56)


def polygon(box: tuple[int, int, int, int]) -> list[list[int]]:
    left, top, right, bottom = box
    return [[left, top, right, top, right, bottom, left, bottom]]


def crowd(box: tuple[int, int, int, int]) -> dict[str, Any]:
    """Uncompressed run lengths of COCO, column by column, background first."""
    inside = np.zeros(SIZE, dtype=int)
    inside[box[1] : box[3], box[0] : box[2]] = 1
    column = inside.flatten(order="F")
    ends = [0, *(np.flatnonzero(np.diff(column)) + 1).tolist(), column.size]
    return dict(size=list(SIZE), counts=[b - a for a, b in zip(ends, ends[1:])])


def packed(root: Path, masks: bool, flip: float = 0.0) -> Any:
    """Return the data sample of an image of three objects: large, small on it, and a crowd over both."""
    from mmdet.registry import DATASETS

    boxes = [(4, 4, 44, 36), (10, 8, 26, 24), (20, 16, 28, 28)]
    annotations = [
        dict(id=i + 1, image_id=1, category_id=i + 1 if i < 2 else 1, iscrowd=int(i == 2))
        | dict(bbox=[left, top, right - left, bottom - top], area=(right - left) * (bottom - top))
        | dict(segmentation=crowd(box) if i == 2 else polygon(box))
        for i, box in enumerate(boxes)
        for left, top, right, bottom in [box]
    ]
    content = dict(
        images=[dict(id=1, file_name="a.png", height=SIZE[0], width=SIZE[1])],
        annotations=annotations,
        categories=[dict(id=1, name="large"), dict(id=2, name="small")],
    )
    (root / "a.json").write_text(json.dumps(content))
    Image.fromarray(np.zeros((*SIZE, 3), dtype=np.uint8)).save(root / "a.png")
    dataset = DATASETS.build(
        dict(
            type="mmdet.CocoDataset",
            data_root=str(root),
            ann_file="a.json",
            data_prefix=dict(img=""),
            metainfo=dict(classes=("large", "small")),
            pipeline=[
                dict(type="LoadImageFromFile"),
                dict(type="mmdet.LoadAnnotations", with_bbox=True, with_mask=masks),
                dict(type="mmdet.RandomFlip", prob=flip),
                dict(type="mmdet.PackDetInputs"),
            ],
        )
    )
    return dataset[0]["data_samples"]


def expected() -> torch.Tensor:
    """The same image, painted by hand: the crowd is smaller than both objects, and void."""
    labels = torch.full(SIZE, VOID)
    labels[4:36, 4:44] = 0
    labels[8:24, 10:26] = 1
    labels[16:28, 20:28] = VOID
    return labels


@pytest.mark.parametrize("masks", [False, True], ids=["boxes", "masks"])
@pytest.mark.parametrize("flipped", [False, True])
def test_instances_of_a_coco_file_are_painted_small_over_large_and_crowds_are_void(
    tmp_path: Path, masks: bool, flipped: bool
) -> None:
    sample = packed(tmp_path, masks, flip=float(flipped))
    labelling = Labelling((8, 8), num_classes=2)
    labels = batch_labels(torch.zeros(1, 3, 48, 64), [sample], labelling)[0]
    # mmdet's rasteriser of polygons moves an edge by a pixel at most
    wanted = expected().flip(1) if flipped else expected()
    assert (labels[40:] == VOID).all() and (labels[:, 56:] == VOID).all()  # padded
    different = labels[:40, :56] != wanted
    assert int(different.sum()) == 0 if not masks else int(different.sum()) <= 2 * (40 + 32 + 16 + 16)


def test_masks_count_where_boxes_say_more() -> None:
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmengine.structures import InstanceData

    triangle = np.tril(np.ones((16, 16), dtype=np.uint8))
    instances = InstanceData(
        bboxes=torch.tensor([[0.0, 0.0, 16.0, 16.0]]),
        labels=torch.tensor([1]),
        masks=BitmapMasks(triangle[None], 16, 16),
    )
    sample = DetDataSample(gt_instances=instances)
    labels = batch_labels(torch.zeros(1, 3, 16, 16), [sample], Labelling((8, 8), num_classes=2))[0]
    assert torch.equal(labels, torch.where(torch.from_numpy(triangle) > 0, 1, VOID))


def test_crowds_are_void_where_the_preprocessor_padded_the_masks_of_the_others(tmp_path: Path) -> None:
    from mmdet.models import DetDataPreprocessor

    sample, same = packed(tmp_path, masks=True), packed(tmp_path, masks=True)
    preprocessor = DetDataPreprocessor(pad_mask=True, pad_size_divisor=32)
    batch = preprocessor(dict(inputs=[torch.zeros(3, *SIZE)], data_samples=[sample]), training=True)
    padded = batch["data_samples"][0]
    assert padded.gt_instances.masks.height == 64 and padded.ignored_instances.masks.height == SIZE[0]
    labelling = Labelling((8, 8), num_classes=2)
    labels, before = (batch_labels(batch["inputs"], [each], labelling) for each in (padded, same))
    assert torch.equal(labels, before)
