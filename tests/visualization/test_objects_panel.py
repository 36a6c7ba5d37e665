"""The panel of detected objects beside the true ones."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from davpt_seg.visualization.detections import Detected, Detections
from davpt_seg.visualization.objects_panel import objects_panel

CLASSES = ("cup", "pen", "$x$")
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])
IMAGE = np.full((40, 60, 3), 100, dtype=np.uint8)


def objects(*rows: tuple[float, float, float, float, int, float], masks: bool = False) -> Detections:
    """Return objects: left, top, right, bottom, class and score."""
    boxes = np.array([row[:4] for row in rows], np.float32).reshape(-1, 4)
    painted = np.zeros((len(rows), *IMAGE.shape[:2]), bool)
    for mask, (left, top, right, bottom) in zip(painted, boxes.astype(int)):
        mask[top:bottom, left:right] = True
    scores, labels = np.array([row[5] for row in rows], np.float32), np.array([row[4] for row in rows], int)
    return Detections(boxes, scores, labels, painted if masks else None)


TRUE = objects((3, 4, 20, 15, 0, 1), (30, 10, 50, 35, 1, 1))
FOUND = objects((31, 11, 49, 30, 1, 0.875), (4, 4, 21, 16, 2, 0.5))


def drawn(figure: Figure) -> list[list[tuple[float, ...]]]:
    """Return left, top, width and height of each panel's boxes, sorted."""
    return [sorted(p.get_bbox().bounds for p in axes.patches if isinstance(p, Rectangle)) for axes in figure.axes]


def texts(figure: Figure) -> list[list[str]]:
    return [sorted(text.get_text() for text in axes.texts) for axes in figure.axes]


def test_rows_show_the_image_its_true_objects_and_those_found_above_one_legend() -> None:
    figure = objects_panel([Detected(IMAGE, FOUND, 0.875, TRUE)] * 2, CLASSES, PALETTE, "two")
    assert [axes.get_title() for axes in figure.axes] == ["image", "ground truth", "prediction", "", "", ""]
    assert drawn(figure) == 2 * [[], [(3, 4, 17, 11), (30, 10, 20, 25)], [(4, 4, 17, 12), (31, 11, 18, 19)]]
    assert texts(figure) == 2 * [[], ["cup", "pen"], ["$x$ 0.50", "pen 0.88"]]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["cup  0 found, 2 true", "pen  2 found, 2 true", "$x$  2 found, 0 true"]
    figure.draw_without_rendering()
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1


def test_images_without_known_truth_have_two_panels() -> None:
    figure = objects_panel([Detected(IMAGE, FOUND, 0.875, None)], CLASSES, PALETTE, "one")
    assert texts(figure) == [[], ["$x$ 0.50", "pen 0.88"]]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["pen  1 found", "$x$  1 found"]


@pytest.mark.parametrize(("highest", "line"), [(0.125, "highest score: 0.12"), (None, "no object")])
def test_where_nothing_is_drawn_a_line_has_the_highest_score(highest: float, line: str) -> None:
    figure = objects_panel([Detected(IMAGE, objects(), highest, objects())], CLASSES, PALETTE, "none")
    assert texts(figure) == [[], [], [line]]
    assert not figure.legends


def test_masks_are_painted_with_the_colours_of_their_classes() -> None:
    true, found = (objects((3, 4, 20, 15, label, 1), masks=True) for label in (0, 2))
    figure = objects_panel([Detected(IMAGE, found, 1.0, true)], CLASSES, PALETTE, "masks")
    pixels = [np.asarray(axes.images[0].get_array())[9, 10].tolist() for axes in figure.axes]
    assert pixels == [[100, 100, 100], [193, 40, 40], [40, 40, 193]]  # 0.4 * 100 + 0.6 * colour
