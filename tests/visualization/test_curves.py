"""Reading MMEngine's log of numbers, and drawing it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("matplotlib")
from davpt_seg.errors import InputError
from davpt_seg.visualization.curves import loss_curves, read_scalars

LINES = [
    {"lr": 1e-3, "loss": 3.0, "decode.loss_ce": 2.0, "loss_metric_patch": 0.6, "loss_metric_cls": 0.4, "step": 10},
    {"lr": 1e-3, "loss": 2.0, "decode.loss_ce": 1.1, "loss_metric_patch": 0.5, "loss_metric_cls": 0.4, "step": 20},
    {"mIoU": 41.5, "aAcc": 90.0, "step": 25},
]


def write(path: Path, lines: list[dict[str, float]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_each_number_keeps_the_iterations_it_was_logged_at(tmp_path: Path) -> None:
    scalars = read_scalars(write(tmp_path / "scalars.json", LINES))
    assert scalars["loss"] == ([10, 20], [3.0, 2.0])
    assert scalars["decode.loss_ce"] == ([10, 20], [2.0, 1.1])
    assert scalars["mIoU"] == ([25], [41.5])


def test_validation_counted_in_epochs_is_put_at_the_last_training_iteration(tmp_path: Path) -> None:
    lines = [{"loss": 1.0, "epoch": 1, "step": 40}, {"mIoU": 5.0, "step": 1}, {"loss": 0.5, "epoch": 2, "step": 80}]
    assert read_scalars(write(tmp_path / "scalars.json", lines))["mIoU"] == ([40], [5.0])


def test_curves_show_losses_on_one_axis_and_validation_on_the_other(tmp_path: Path) -> None:
    figure = loss_curves(read_scalars(write(tmp_path / "scalars.json", LINES)))
    losses, validation = figure.axes
    drawn = {line.get_label(): list(line.get_ydata()) for line in losses.get_lines()}
    assert drawn["all (what is minimised)"] == [3.0, 2.0]
    assert set(drawn) >= {"decode.loss_ce", "loss_metric_patch", "loss_metric_cls"}
    assert [list(line.get_ydata()) for line in validation.get_lines()] == [[41.5]]
    figure.savefig(tmp_path / "loss.png")


def test_average_precision_is_drawn_in_percent(tmp_path: Path) -> None:
    lines = [*LINES[:2], {"coco/bbox_mAP": 0.125, "coco/bbox_mAP_50": 0.25, "step": 20}]
    _, validation = loss_curves(read_scalars(write(tmp_path / "scalars.json", lines))).axes
    assert [list(line.get_ydata()) for line in validation.get_lines()] == [[12.5]]
    assert validation.get_ylabel() == "AP (%)"


def test_a_log_without_validation_has_one_axis(tmp_path: Path) -> None:
    assert len(loss_curves(read_scalars(write(tmp_path / "scalars.json", LINES[:2]))).axes) == 1


def test_a_missing_or_empty_log_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a training writes it"):
        read_scalars(tmp_path / "scalars.json")
    with pytest.raises(ValueError, match="no training loss"):
        read_scalars(write(tmp_path / "scalars.json", []))
    (tmp_path / "scalars.json").write_text('{"loss": 1.0, "step": 10}\n{"loss": 0.\n')
    with pytest.raises(ValueError, match="line 2"):
        read_scalars(tmp_path / "scalars.json")
