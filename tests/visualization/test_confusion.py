"""The picture of the confusion matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from davpt_seg.visualization.confusion import confusion_picture

MATRIX = np.array([[6, 2, 0], [0, 50, 0], [0, 0, 0]])


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts if text.get_visible()]


def test_cells_show_percent_of_the_true_class() -> None:
    figure = confusion_picture(MATRIX, ("sky", "road", "car"))
    assert texts(figure)[:3] == ["75", "25", "100"]  # zeros and the row without pixels stay empty
    shown = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(shown[:2], [[75, 25, 0], [0, 100, 0]])
    assert np.ma.getmaskarray(shown)[2].all()
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["sky", "road", "car"]


def test_mix_ups_and_absent_classes_are_named() -> None:
    (text,) = (t for t in texts(confusion_picture(MATRIX, ("sky", "road", "car"))) if "mix-ups" in t)
    assert text.splitlines() == ["Largest mix-ups", "25.0 %  sky \N{RIGHTWARDS ARROW} road", "", "No pixels of", "car"]


@pytest.mark.parametrize("count", [2, 11, 150])
def test_no_name_leaves_the_picture(tmp_path: Path, count: int) -> None:
    matrix = np.random.default_rng(0).integers(0, 100, (count, count))
    figure = confusion_picture(matrix, [f"class number {i}" for i in range(count)])
    figure.savefig(tmp_path / "confusion.png")
    page = figure.bbox
    axes, words = figure.axes[:2]
    shown = [*axes.get_xticklabels(), *axes.get_yticklabels(), axes.xaxis.label, axes.yaxis.label, *words.texts]
    assert len(shown) == 2 * count + 3
    for text in shown:
        box = text.get_window_extent()
        assert box.x0 >= page.x0 and box.y0 >= page.y0 and box.x1 <= page.x1 + 1 and box.y1 <= page.y1 + 1, text
    assert bool(axes.texts) == (count <= 30)  # 150 x 150 numbers could not be read
