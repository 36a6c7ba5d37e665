"""The panel's hook keeps what it draws, and no more."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData, PixelData
from mmseg.structures import SegDataSample
from PIL import Image

from davpt_seg.engine import PanelHook
from davpt_seg.visualization.detections import Detected


def predicted(path: str) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.seg_logits = PixelData(data=torch.zeros(3, 4, 4))
    sample.pred_sem_seg = PixelData(data=torch.ones(1, 4, 4, dtype=torch.long))
    return sample


def test_logits_are_dropped_from_the_kept_samples_only() -> None:
    hook = PanelHook(images=2)
    runner = cast(Any, SimpleNamespace(val_dataloader=SimpleNamespace(dataset=range(4))))
    samples = [predicted(f"{i}.png") for i in range(4)]
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, None, samples)
    assert [kept.img_path for kept in hook._samples] == ["0.png", "2.png"]
    for kept in hook._samples:
        assert kept.keys() == ["pred_sem_seg"]
        assert bool((kept.pred_sem_seg.data == 1).all())
    assert all("seg_logits" in sample for sample in samples)


def detected(path: Path, scores: list[float]) -> Any:
    """Write an image, and return the objects found in it: each is a pixel further to the right, with a mask."""
    structures, mask = (pytest.importorskip(f"mmdet.structures{name}") for name in ("", ".mask"))
    Image.fromarray(np.full((6, 8, 3), (10, 20, 30), np.uint8)).save(path)
    sample = structures.DetDataSample(metainfo=dict(img_path=str(path)))
    boxes = torch.tensor([[float(i), 0, i + 2, 3] for i in range(len(scores))]).reshape(-1, 4)
    masks = torch.zeros(len(scores), 6, 8, dtype=torch.bool)
    for i in range(len(scores)):
        masks[i, :3, i : i + 2] = True
    labels = torch.arange(len(scores))
    sample.pred_instances = InstanceData(bboxes=boxes, scores=torch.tensor(scores), labels=labels, masks=masks)
    true = mask.BitmapMasks([np.eye(6, 8, dtype=np.uint8)], 6, 8)
    sample.gt_instances = InstanceData(bboxes=torch.tensor([[0.0, 0, 6, 6]]), labels=torch.tensor([1]), masks=true)
    return sample


def kept(samples: list[Any], **options: Any) -> list[Detected]:
    """Return what the hook keeps of a validation."""
    hook = PanelHook(images=2, **options)
    runner = cast(Any, SimpleNamespace(val_dataloader=SimpleNamespace(dataset=range(len(samples)))))
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, None, samples)
    return hook._samples


def test_only_objects_that_are_drawn_are_kept_of_a_detector_and_its_samples_are_unchanged(tmp_path: Path) -> None:
    samples = [detected(tmp_path / f"{i}.png", [0.25, 0.75, 0.5]) for i in range(4)]
    rows = kept(samples, score_threshold=0.5)
    assert len(rows) == 2
    for row in rows:
        assert row.image[0, 0].tolist() == [10, 20, 30]
        assert row.found.scores.tolist() == [0.75, 0.5] and row.found.labels.tolist() == [1, 2]
        assert row.found.boxes.tolist() == [[1, 0, 3, 3], [2, 0, 4, 3]] and row.highest == 0.75
        assert row.found.masks is not None and row.found.masks.sum(axis=(1, 2)).tolist() == [6, 6]
        assert row.truth is not None and row.truth.boxes.tolist() == [[0, 0, 6, 6]]
        assert row.truth.masks is not None and np.array_equal(row.truth.masks, np.eye(6, 8, dtype=bool)[None])
    assert all(len(sample.pred_instances) == 3 for sample in samples)


def test_true_objects_have_no_masks_beside_a_detector_without_them(tmp_path: Path) -> None:
    sample = detected(tmp_path / "0.png", [0.75])
    del sample.pred_instances.masks
    (row,) = kept([sample])
    assert row.truth is not None and row.truth.masks is None and row.found.masks is None


def test_where_nothing_is_found_the_row_is_empty(tmp_path: Path) -> None:
    (row,) = kept([detected(tmp_path / "0.png", [])], true_objects=False)
    assert len(row.found) == 0 and row.highest is None and row.truth is None


def test_an_image_whose_annotations_are_not_loaded_has_no_truth(tmp_path: Path) -> None:
    sample = detected(tmp_path / "0.png", [0.75])
    sample.gt_instances = InstanceData()  # as mmdet packs it
    (row,) = kept([sample])
    assert len(row.found) == 1 and row.truth is None
    del sample.gt_instances
    (row,) = kept([sample])
    assert row.truth is None


@pytest.mark.parametrize(("classes", "drawn"), [((), False), (("a", "b", "c"), True), (("a",), True)])
def test_classes_without_a_name_are_numbered_and_a_data_set_without_classes_has_no_panel(
    tmp_path: Path, classes: tuple[str, ...], drawn: bool
) -> None:
    rows = kept([detected(tmp_path / "0.png", [0.75, 0.5, 0.4])])
    figure = PanelHook()._draw(rows, dict(classes=classes, palette=None), 7)
    assert (figure is not None) == drawn
    if figure:
        shown = " ".join(text.get_text() for legend in figure.legends for text in legend.get_texts())
        names = [*classes, *(f"class {i}" for i in range(len(classes), 3))]
        assert all(f"{name}  1 found" in shown for name in names)
