"""How far a training is, by the end of its log: of real lines of MMEngine's, and of files in every odd state."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Optional

import pytest

from davpt_seg.runs.log import TAIL, position

HEAD = "2026/11/27 19:31:04 - mmengine - INFO - "
ITERATION = HEAD + (
    "Iter(train) [ 30/150]  base_lr: 9.8823e-04 lr: 4.9411e-03  eta: 0:01:58  time: 0.9563  data_time: 0.0171  "
    "memory: 812  loss: 4.2658  decode.loss_ce: 2.0551\n"
)
EPOCH = HEAD + (
    "Epoch(train)   [9][ 5/25]  lr: 1.0000e-03  eta: 1 day, 2:03:04  time: 0.2000  data_time: 0.0100  loss: 1.2500\n"
)
VALIDATION = HEAD + "Iter(val) [20/60]    eta: 0:00:04  time: 0.1142  data_time: 0.0016\n"
TEST = HEAD + "Iter(test) [40/60]    eta: 0:00:02  time: 0.1142  data_time: 0.0016\n"


def write(folder: Path, text: str, name: str = "attempts/001.log", age: float = 0.0) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_iterations_are_read_with_loss_and_time_left(tmp_path: Path) -> None:
    write(tmp_path, "noise\n" + ITERATION)
    found = position(tmp_path)
    assert found is not None and found.eta == pytest.approx(118, abs=1)
    assert (found.step, found.steps, found.epoch, found.loss) == (30, 150, None, 4.2658)
    assert str(found).startswith("iteration 30/150, loss 4.266, ETA 0:01:5")


def test_epochs_are_counted_to_the_number_in_the_config(tmp_path: Path) -> None:
    write(tmp_path, EPOCH)
    assert str(position(tmp_path)) == "epoch 9, loss 1.25, ETA 1 day, 2:03:04"
    write(
        tmp_path, "train_cfg = dict(by_epoch=True, max_epochs=100, val_interval=10)\n", "20261127_1/vis_data/config.py"
    )
    found = position(tmp_path)
    assert found is not None and str(found).startswith("epoch 9/100, ")
    assert found.total == pytest.approx((26 * 3600 + 3 * 60 + 4) / (1 - 8.2 / 100))


def test_what_a_log_says_last_counts_down(tmp_path: Path) -> None:
    write(tmp_path, ITERATION, age=100)
    found = position(tmp_path)
    assert found is not None and found.eta == pytest.approx(18, abs=1)
    write(tmp_path, ITERATION, age=10_000)
    assert "ETA 0:00:00" in str(position(tmp_path))


def test_a_validation_keeps_the_trainings_loss_and_eta_and_a_test_has_its_own(tmp_path: Path) -> None:
    write(tmp_path, ITERATION + VALIDATION)
    assert str(position(tmp_path)).startswith("iteration 30/150, validating, loss 4.266, ETA 0:01:5")
    write(tmp_path, ITERATION + VALIDATION + TEST)
    assert str(position(tmp_path)).startswith("testing 40/60, loss 4.266, ETA 0:00:0")


def test_every_prefix_of_a_log_is_read_to_its_last_complete_line(tmp_path: Path) -> None:
    lines = [ITERATION.replace(" 30/150", f"{n:>3}/150") for n in (10, 20, 100)]
    text = "".join(lines)
    ends = [len("".join(lines[: n + 1])) for n in range(3)]
    for size in range(len(text) + 1):
        write(tmp_path, text[:size])
        complete = sum(end <= size for end in ends)
        found = position(tmp_path)
        assert (found.step if found else 0) == (0, 10, 20, 100)[complete], text[:size][-40:]


@pytest.mark.parametrize("text", ["", "\n", "no step\n", "\0\xff\n", "Iter(train) [1/\n", "Epoch(train) [a][1/2]\n"])
def test_a_log_without_a_step_has_no_position(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert position(tmp_path) is None


@pytest.mark.parametrize(("loss", "told"), [("nan", "loss nan"), ("inf", "loss inf"), ("1.0000e+30", "loss 1e+30")])
def test_a_loss_that_is_no_number_is_shown(tmp_path: Path, loss: str, told: str) -> None:
    write(tmp_path, ITERATION.replace("4.2658", loss))
    assert told in str(position(tmp_path))


def test_a_run_without_a_log_here_has_no_position(tmp_path: Path) -> None:
    assert position(tmp_path) is None
    assert position(tmp_path / "nowhere") is None


def test_a_resumed_run_is_read_from_its_newest_log(tmp_path: Path) -> None:
    write(tmp_path, ITERATION, age=50)
    write(tmp_path, ITERATION, "20261127_1/20261127_1.log", age=60)
    later = ITERATION.replace(" 30/", " 90/")
    write(tmp_path, later, "20261127_2/20261127_2.log", age=5)  # MMEngine's own, where nothing else is kept
    assert str(position(tmp_path)).startswith("iteration 90/150")
    write(tmp_path, "", "attempts/002.log")  # starts just now
    assert position(tmp_path) is None


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path) -> None:
    write(tmp_path, ITERATION + "x" * TAIL + "\n")
    assert position(tmp_path) is None
    write(tmp_path, "x" * 3 * TAIL + "\n" + ITERATION + VALIDATION * 300)
    assert "iteration 30/150" in str(position(tmp_path))


@pytest.mark.parametrize(
    ("text", "total"),
    [
        (ITERATION, 118 / (1 - 30 / 150)),
        (ITERATION + VALIDATION + TEST, 118 / (1 - 30 / 150)),  # of the training, not of the test
        (TEST, None),
        (ITERATION.replace(" 30/", "150/"), None),
        (ITERATION.replace("eta: 0:01:58", "eta: soon"), None),
        (EPOCH, None),  # of an unknown number of epochs
    ],
)
def test_the_complete_training_is_estimated_however_old_the_line(
    tmp_path: Path, text: str, total: Optional[float]
) -> None:
    write(tmp_path, text, age=100)
    found = position(tmp_path)
    assert found is not None and found.total == (None if total is None else pytest.approx(total))
