"""The report counts as scikit-learn does and scores as mmseg's IoUMetric does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.evaluator import Evaluator
from PIL import Image
from sklearn.metrics import confusion_matrix

from davpt_seg.engine import SegmentationReport

CLASSES = ("sky", "road", "car", "tram")


def samples() -> list[dict[str, Any]]:
    """Three images with void pixels, and no tram anywhere."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for _ in range(3):
        truth, prediction = torch.randint(0, 3, (2, 1, 9, 11), generator=generator)
        truth[:, :2] = 255
        made.append(dict(gt_sem_seg=dict(data=truth), pred_sem_seg=dict(data=prediction)))
    return made


def test_the_report_equals_sklearns_matrix_and_mmsegs_scores(tmp_path: Path) -> None:
    path = tmp_path / "scores.json"
    evaluator = Evaluator([dict(type="mmseg.IoUMetric"), SegmentationReport(json=str(path), about=dict(tta=False))])
    evaluator.dataset_meta = dict(classes=CLASSES)
    for sample in samples():
        evaluator.process(data_samples=[sample], data_batch=None)
    metrics = evaluator.evaluate(3)
    report = json.loads(path.read_text())
    truth, prediction = (
        np.concatenate([sample[key]["data"].ravel() for sample in samples()]) for key in ("gt_sem_seg", "pred_sem_seg")
    )
    expected = confusion_matrix(truth[truth != 255], prediction[truth != 255], labels=range(4))
    assert report["confusion_matrix"] == expected.tolist()
    assert report["metrics"] == pytest.approx(metrics, abs=0.0051)  # IoUMetric rounds to two digits
    tram = report["classes"][3]
    assert tram == dict(name="tram", IoU=None, Acc=None, pixels=0)
    assert np.mean([row["IoU"] for row in report["classes"][:3]]) == pytest.approx(report["metrics"]["mIoU"])
    assert report["images"] == 3 and report["tta"] is False


def test_scores_on_a_full_disk_leave_the_earlier_ones_intact(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "scores.json"
    path.write_text("{}")
    report = SegmentationReport(json=str(path))
    report.dataset_meta = dict(classes=CLASSES)
    report.process(None, samples())

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        report.evaluate(3)
    assert path.read_text() == "{}"


def test_the_picture_is_written_where_it_was_asked_for(tmp_path: Path) -> None:
    report = SegmentationReport(picture=str(tmp_path / "confusion.png"))
    report.dataset_meta = dict(classes=CLASSES)
    report.process(None, samples())
    assert report.evaluate(3) == {}
    assert Image.open(tmp_path / "confusion.png").width > 300
