"""Dry run of a detector whose validation is under autocast."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("mmdet")

from davpt_seg.training.dry_run import dry_run

from ..coco import tiny_detector, write_coco


def test_a_dry_run_scores_boxes_of_mixed_precision(tmp_path: Path) -> None:
    cfg = tiny_detector(write_coco(tmp_path / "data"), tmp_path / "work")
    cfg.merge_from_dict({"model.test_cfg.score_thr": 0.0, "model.test_cfg.max_per_img": 10})
    assert cfg.val_cfg.fp16
    dry_run(cfg, "tiny", [])
    text = "".join(path.read_text() for path in Path(cfg.work_dir).rglob("*.log"))
    assert "Scores of one val batch before training: coco/bbox_mAP" in text and "Dry run: data, model" in text
