"""CheckLabels where there are no labels."""

from __future__ import annotations

import pytest

from davpt_seg.datasets import CheckLabels


def test_an_image_that_has_no_label_map_passes() -> None:
    results = dict(img_path="street.jpg")
    assert CheckLabels(11)(results) is results


def test_checking_a_label_map_before_it_is_loaded_is_refused() -> None:
    with pytest.raises(ValueError, match="CheckLabels must come after LoadLabelMap"):
        CheckLabels(11)(dict(img_path="street.jpg", seg_map_path="street.png"))
