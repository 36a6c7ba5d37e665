"""The demo's sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import numpy as np
import pytest
from matplotlib.figure import Figure

pytest.importorskip("matplotlib")
from davpt_seg.visualization.detections import Detections
from davpt_seg.visualization.pictures import Row, demo_sheet, paint, prompt_colours, prompt_handles

CLASSES = ("sky", "road", "car")
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
SPEAKS_FOR = np.array([[True, False, False], [False, True, True], [False, False, False]])


def row(nearest: Optional[np.ndarray]) -> Row:
    labels = np.arange(20 * 30).reshape(20, 30) % 3
    image, attention = np.zeros((20, 30, 3), dtype=np.uint8), np.full((3, 4), 0.1)
    return Row(image, np.where(labels == 2, 255, labels), labels, attention, nearest, (2.5, 3.75))


def test_prompts_of_one_class_have_its_colour_and_the_others_are_grey() -> None:
    colours = prompt_colours(SPEAKS_FOR, PALETTE / 255)
    assert colours[0].tolist() == [1, 0, 0]
    assert all(np.ptp(colour) == 0 for colour in colours[1:])
    assert not np.array_equal(colours[1], colours[2])


def test_prompts_of_the_same_classes_are_named_together() -> None:
    handles = prompt_handles(SPEAKS_FOR[[0, 1, 0, 2]], CLASSES, np.zeros((4, 3)))
    assert [handle.get_label() for handle in handles] == ["0, 2: sky", "1: road, car", "3: no class"]


def test_void_is_white() -> None:
    assert paint(np.array([[1, 255]]), PALETTE / 255).tolist() == [[[0, 1, 0], [1, 1, 1]]]


def titles(figure: Figure) -> list[str]:
    """Titles of the columns; below each is what it shows."""
    first = [axes for axes in figure.axes if axes.texts]
    assert all(axes.get_title() for axes in first)
    return [axes.texts[-1].get_text() for axes in first]


@pytest.mark.parametrize("guided", [True, False])
def test_the_sheet_shows_nearest_prompts_only_with_guidance(tmp_path: Path, guided: bool) -> None:
    nearest = np.zeros((3, 4), dtype=int) if guided else None
    figure = demo_sheet([row(nearest)] * 2, CLASSES, PALETTE, SPEAKS_FOR if guided else SPEAKS_FOR[:0])
    assert titles(figure) == ["image", "truth", "prediction", *["nearest prompt"] * guided, "attention to prompts"]
    last = titles(figure)[-1]
    heat = next(axes for axes in figure.axes if axes.texts and axes.texts[-1].get_text() == last).images[0]
    assert heat.get_extent() == [0, 32, 24, 0]  # 4 patches of 8 pixels, the last of which stick out of 20 x 30
    figure.savefig(tmp_path / "predictions.png")


def test_the_sheet_of_a_detector_shows_images_with_objects_over_the_same_area(tmp_path: Path) -> None:
    truth = Detections(np.array([[3.0, 4, 20, 15]], np.float32), np.ones(1, np.float32), np.array([1]))
    found = Detections(truth.boxes + 1, np.array([0.75], np.float32), truth.labels)
    figure = demo_sheet([row(None)._replace(truth=truth, prediction=found)], CLASSES, PALETTE, SPEAKS_FOR[:0])
    assert titles(figure) == ["image", "truth", "prediction", "attention to prompts"]
    true, predicted = (figure.axes[i] for i in (1, 2))
    assert true.images[0].get_extent() == [0, 30, 20, 0] == predicted.images[0].get_extent()
    assert [axes.patches[0].get_bbox().bounds for axes in (true, predicted)] == [(3, 4, 17, 11), (4, 5, 17, 11)]
    names = [{text.get_text() for text in axes.texts} for axes in (true, predicted)]
    assert CLASSES[1] in names[0] and f"{CLASSES[1]} 75" in names[1]
    assert not any("pixels right" in axes.get_xlabel() for axes in figure.axes)
    legends = [axes.get_legend() for axes in figure.axes if axes.get_legend()]
    assert [text.get_text() for text in legends[0].get_texts()] == [CLASSES[1]]
    figure.savefig(tmp_path / "predictions.png")


def test_the_sheet_of_zero_start_prompts_names_what_they_add() -> None:
    figure = demo_sheet([row(None)], CLASSES, PALETTE, SPEAKS_FOR[:0], zero_start=True)
    assert titles(figure)[-1] == "added by prompts"
    assert any("attention output" in axes.get_xlabel() for child in figure.axes for axes in [child, *child.child_axes])
