"""Progress of a training, from the end of its log."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Optional

TAIL = 2**16  # bytes read from the end: about 300 lines of MMEngine
# MMEngine's log of a step:  Epoch(train)  [3][10/25] ..., Iter(train) [ 10/400] ..., Iter(val) [10/60] ...
STEP = re.compile(r"(Epoch|Iter)\((train|val|test)\)\s+(?:\[ *(\d+)\])?\[ *(\d+)/(\d+)\](.*)")
ETA = re.compile(r"\beta: (?:(\d+) days?, )?(\d+):(\d+):(\d+)")
LOSS = re.compile(r"\bloss: (\S+)")
EPOCHS = re.compile(r"\bmax_epochs=(\d+)")


@dataclass(frozen=True)
class Position:
    """Position of a training.

    Args:
        epoch, epochs: current epoch, from 1, and number of epochs; None if it counts iterations, or if unknown.
        step, steps: current iteration and number of iterations, of the epoch or the training; for a test, batches.
        loss: total loss of the last logged step; None before.
        eta: seconds left of the training or the test; None if unknown.
        total: seconds of the complete training; None if unknown.
        phase: ``train``, ``val`` or ``test``.
    """

    step: int
    steps: int
    epoch: Optional[int] = None
    epochs: Optional[int] = None
    loss: Optional[float] = None
    eta: Optional[float] = None
    total: Optional[float] = None
    phase: str = "train"

    def __str__(self) -> str:
        if self.phase == "test":
            words = [f"testing {self.step}/{self.steps}"]
        elif self.epoch is None:
            words = [f"iteration {self.step}/{self.steps}"]
        else:
            words = [f"epoch {self.epoch}{f'/{self.epochs}' if self.epochs else ''}"]
        words += ["validating"] if self.phase == "val" else []
        words += [] if self.loss is None else [f"loss {self.loss:.4g}"]
        words += [] if self.eta is None else [f"ETA {duration(self.eta)}"]
        return ", ".join(words)


def position(folder: Path) -> Optional[Position]:
    """Read the position of a training from the newest log in its folder; an incomplete line is ignored.

    Args:
        folder: work dir of the run, with ``attempts/001.log`` or MMEngine's ``TIME/TIME.log``. A resumed run writes
            new ones.

    Returns:
        The position; None if there is no log, or no step in it yet.
    """
    try:
        log = max(folder.glob("*/*.log"), key=os.path.getmtime, default=None)
        if log is None:
            return None
        age = max(0.0, time.time() - log.stat().st_mtime)
        text, epochs = tail(log), _epochs(folder)
    except OSError:  # removed in the meantime, or not readable
        return None
    steps = [found for line in text.split("\n")[:-1] if (found := STEP.search(line))]
    if not steps:
        return None
    last = steps[-1]
    trained = next((found for found in reversed(steps) if found[2] == "train"), None)
    here = last if last[2] == "test" or trained is None else trained
    eta = _eta(here)
    return Position(
        step=int(here[4]),
        steps=int(here[5]),
        epoch=int(here[3]) if here[3] else None,
        epochs=epochs if here[3] else None,
        loss=_loss(trained) if trained else None,
        eta=None if eta is None else max(0.0, eta - age),
        total=_total(trained, epochs) if trained else None,
        phase=last[2],
    )


def tail(path: Path) -> str:
    """Read the end of a text file of any length."""
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL))
        return file.read().decode(errors="replace")


def duration(seconds: float) -> str:
    """Format a time: ``0:01:20``, ``2 days, 3:00:00``."""
    return str(timedelta(seconds=round(seconds)))


def _epochs(folder: Path) -> Optional[int]:
    """Return the number of epochs from the config that MMEngine wrote last."""
    for config in sorted(folder.glob("*/vis_data/config.py"), reverse=True):
        found = EPOCHS.search(config.read_text(errors="replace"))
        if found:
            return int(found[1])
    return None


def _total(step: re.Match[str], epochs: Optional[int]) -> Optional[float]:
    """Estimate the seconds of a complete training from those left at a step."""
    left, done = _eta(step), int(step[4]) / max(1, int(step[5]))
    if step[3]:
        done = (int(step[3]) - 1 + done) / epochs if epochs else 1.0
    return left / (1 - done) if left is not None and done < 1 else None


def _loss(step: re.Match[str]) -> Optional[float]:
    found = LOSS.search(step[6])
    try:
        return float(found[1]) if found else None
    except ValueError:
        return None


def _eta(step: re.Match[str]) -> Optional[float]:
    found = ETA.search(step[6])
    if not found:
        return None
    days, hours, minutes, seconds = (int(group or 0) for group in found.groups())
    return timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds()
