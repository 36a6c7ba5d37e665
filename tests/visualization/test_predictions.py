"""The picture and the label map of one prediction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from davpt_seg.visualization.predictions import (
    Painted,
    class_shares,
    label_map,
    name_places,
    paint,
    percent,
    prediction_picture,
    predictions_picture,
)

CLASSES = ("sky", "road", "car")
PALETTE = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
LABELS = np.zeros((40, 60), dtype=int)
LABELS[20:] = 2
LABELS[30, 30] = 1


def test_shares_are_of_all_pixels_and_the_largest_comes_first() -> None:
    assert class_shares(LABELS, 3) == [(0, 0.5), (2, 1199 / 2400), (1, 1 / 2400)]
    assert [percent(share) for share in (0.5, 1 / 2400)] == ["50.0 %", "<0.1 %"]


def test_paint_mixes_image_and_colour_and_draws_borders_white() -> None:
    image = np.full((40, 60, 3), 100, dtype=np.uint8)
    painted = paint(image, LABELS, PALETTE, opacity=0.25)
    assert painted[0, 0].tolist() == [139, 75, 75]  # 0.75 * 100 + 0.25 * (255, 0, 0)
    assert (painted[20] == 255).all()
    assert paint(image, LABELS, PALETTE, opacity=0)[35, 5].tolist() == [100] * 3


def test_a_name_stands_inside_its_class_and_only_where_there_is_room() -> None:
    places = dict(name_places(LABELS, CLASSES, letter=2))
    assert places.keys() == {0, 2}
    assert all(LABELS[y, x] == i for i, (x, y) in places.items())
    assert not dict(name_places(LABELS, CLASSES, letter=20))


@pytest.mark.parametrize("size", [(40, 60), (300, 20), (20, 300)])
def test_the_legend_names_the_classes_found(tmp_path: Path, size: tuple[int, int]) -> None:
    labels = np.zeros(size, dtype=int)
    labels[5:] = 2
    figure = prediction_picture(np.zeros((*size, 3), dtype=np.uint8), labels, CLASSES, PALETTE, "a.jpg")
    (legend,) = figure.legends
    names = [text.get_text().split("  ")[0] for text in legend.get_texts()]
    assert sorted(names) == ["car", "sky"]
    figure.savefig(tmp_path / "picture.png")
    box = legend.get_window_extent()
    assert box.x0 >= 0 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1


def test_a_label_map_keeps_labels_and_colours(tmp_path: Path) -> None:
    label_map(LABELS, PALETTE).save(tmp_path / "labels.png")
    read = Image.open(tmp_path / "labels.png")
    assert np.array_equal(np.array(read), LABELS)
    assert np.array_equal(np.array(read.convert("RGB")), PALETTE[LABELS])


def test_more_classes_than_a_palette_holds_are_written_in_16_bits(tmp_path: Path) -> None:
    labels = np.array([[0, 846]])
    label_map(labels, np.zeros((847, 3), dtype=np.uint8)).save(tmp_path / "labels.png")
    assert np.array_equal(np.array(Image.open(tmp_path / "labels.png")), labels)


def test_rows_show_image_truth_and_prediction_above_one_legend() -> None:
    truth = LABELS.copy()
    truth[:5] = 255  # void
    truth[truth == 0] = 1
    rows = [Painted(np.full((40, 60, 3), 100, dtype=np.uint8), np.where(LABELS == 1, 0, LABELS), truth)] * 2
    figure = predictions_picture(rows, CLASSES, PALETTE, "two")
    assert [axes.get_title() for axes in figure.axes] == ["image", "ground truth", "prediction", "", "", ""]
    (legend,) = figure.legends
    names = [text.get_text() for text in legend.get_texts()]
    assert names == ["sky  50.0 %", "car  50.0 %", "road  not predicted"]
    assert (figure.axes[1].images[0].get_array()[:4] == 100).all()  # void is not painted
