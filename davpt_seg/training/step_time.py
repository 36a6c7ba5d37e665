"""Time of a step, measured by a dry run, and what a training would take at that speed."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import NamedTuple

import torch
from mmengine.runner import Runner

from .summary import counted, steps_of, validations_of


class Stopwatch:
    """Time since this object was made, including the GPU's work until then."""

    def __init__(self) -> None:
        self._start = self._now()

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return self._now() - self._start

    @staticmethod
    def _now() -> float:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        return time.perf_counter()


class StepTime(NamedTuple):
    """Seconds to read a batch in one process, and seconds of its forward and backward pass."""

    reading: float
    learning: float

    def per_step(self, workers: int) -> float:
        """Return the seconds of a step.

        Args:
            workers: number of processes that read batches meanwhile; with 0, a batch is read before its step.
        """
        return max(self.learning, self.reading / workers) if workers else self.learning + self.reading


def estimate(runner: Runner, step: StepTime, val_batch: float) -> str:
    """Return how long a step takes here, and how long a training would.

    Args:
        runner: runner with its loops.
        step: times of one batch.
        val_batch: seconds to read and predict one batch of validation.
    """
    steps, per_step = steps_of(runner), step.per_step(getattr(runner.train_dataloader, "num_workers", 0))
    total = steps * per_step
    text = (
        f"A step takes about {per_step:.2g} s here ({step.learning:.2g} s forward and backward, {step.reading:.2g} s "
        f"to read its batch); {counted(steps, 'iteration')}: about {_duration(total)}"
    )
    times = validations_of(runner)
    if not times or not val_batch:
        return f"{text}."
    once = len(runner.val_dataloader) * val_batch
    return (
        f"{text}, and {counted(times, 'validation')} of about {_duration(once)}: {_duration(total + times * once)} in "
        "all. The first steps are slower."
    )


def _duration(seconds: float) -> str:
    """Format a time, rounded to what an estimate of one step can give."""
    unit = 1 if seconds < 600 else 60
    return str(timedelta(seconds=max(round(seconds / unit) * unit, 1)))
