"""Scores by the names that people use for them."""

from __future__ import annotations

import numpy as np
import pytest

from davpt_seg.training.score_text import listed, name_of, value_of


@pytest.mark.parametrize(
    ("score", "name"),
    [
        ("coco/bbox_mAP", "AP"),
        ("coco/bbox_mAP_50", "AP50"),
        ("bbox_mAP_75", "AP75"),
        ("coco/segm_mAP", "mask AP"),
        ("val/coco/segm_mAP_50", "mask AP50"),
        ("coco/bbox_mAP_s", "APs"),
        ("mIoU", "mIoU"),
        ("mAP", "mAP"),
        ("coco/bbox_mAP_copypaste", "coco/bbox_mAP_copypaste"),
    ],
)
def test_ap_has_its_usual_name(score: str, name: str) -> None:
    assert name_of(score) == name


def test_ap_is_in_percent_and_other_scores_are_as_they_were() -> None:
    assert value_of("coco/bbox_mAP_50", 0.1714) == "17.1"
    assert value_of("mIoU", 41.23456) == "41.23"


def test_ap_without_any_object_to_find_is_no_number() -> None:
    assert value_of("coco/bbox_mAP", -1.0) == "n/a"
    assert listed({"coco/segm_mAP": -1.0, "coco/bbox_mAP": 0.0}) == "mask AP n/a, AP 0.0"


def test_a_line_of_scores_omits_sizes_of_objects_and_what_is_no_number() -> None:
    scores = {"coco/bbox_mAP": np.float64(0.043), "coco/bbox_mAP_75": 0.008, "coco/bbox_mAP_s": -1.0, "text": "x"}
    assert listed(scores) == "AP 4.3, AP75 0.8"
