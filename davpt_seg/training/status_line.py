"""Progress of a training or test on the last line of a terminal; the log's lines are above it, as in a file."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Optional

from mmengine.hooks import Hook
from mmengine.runner import Runner

from .runner import terminal_handlers
from .score_text import name_of, value_of

BAR = 20  # characters
EVERY = 0.2  # seconds between two lines
SMOOTHED = 10  # iterations whose mean loss is shown
SCORES = ("mIoU", "accuracy/top1", "coco/bbox_mAP")
CLEAR = "\r\x1b[K"


@contextmanager
def status_line(runner: Runner) -> Iterator[None]:
    """Show the progress of a runner on a terminal; a file or pipe has the log's lines only.

    Args:
        runner: runner that trains or tests in the block.
    """
    shown = next((each for each in terminal_handlers(runner.logger) if each.stream.isatty()), None)
    if shown is None or shown.level > logging.INFO:  # another process than the first
        yield
        return
    line = StatusLine(shown.stream)
    shown.addFilter(line.clear_before)
    runner.register_hook(line, "LOWEST")
    try:
        yield
    finally:
        line.clear()
        shown.removeFilter(line.clear_before)


def latest(runner: Runner) -> Iterator[str]:
    """Yield the loss of a training, and the last and best score of its validations.

    The score is the one by which the best checkpoint is kept, or else mIoU, top-1 accuracy or AP.
    """
    logged = runner.message_hub.log_scalars
    loss = logged.get("train/loss")
    if loss is not None:
        yield f"loss {loss.mean(SMOOTHED):.4g}"
    kept = [name for hook in runner.hooks for name in getattr(hook, "key_indicators", None) or ()]
    name = next((each for each in (*kept, *SCORES) if f"val/{each}" in logged), None)
    if name is None:
        return
    score = logged[f"val/{name}"]
    less = any(name in (getattr(hook, "key_indicators", None) or ()) and _less(hook, name) for hook in runner.hooks)
    best = score.min() if less else score.max()
    yield f"{name_of(name)} {value_of(name, score.current())} (best {value_of(name, best)})"


def _less(hook: Any, name: str) -> bool:
    """Return whether a checkpoint hook takes smaller values of a score for better."""
    rules = dict(zip(hook.key_indicators, hook.rules or ()))
    return rules.get(name) == "less"


class StatusLine(Hook):
    """Hook that keeps a line with a bar and the time left at the end of a terminal.

    Args:
        stream: the terminal.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._last = 0.0
        self._visible = False

    def clear_before(self, record: logging.LogRecord) -> bool:
        """Remove the line before a log record is written; it comes back with the next step."""
        self.clear()
        return True

    def clear(self) -> None:
        """Remove the line."""
        if self._visible:
            self._write(CLEAR)
            self._visible, self._last = False, 0.0

    def before_train_epoch(self, runner: Runner) -> None:
        """Show that a training waits for a batch: the first of each epoch may take long."""
        self._show("training: the first batch is read ...")

    def before_val_epoch(self, runner: Runner) -> None:
        """Show that a validation waits for its first batch."""
        self._show("validation: the first batch is read ...")

    def before_test_epoch(self, runner: Runner) -> None:
        """Show that a test waits for its first batch."""
        self._show("test: the first batch is read ...")

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict[str, Any]] = None
    ) -> None:
        """Show the progress of a training."""
        self._progress(runner, "training", runner.iter + 1, runner.max_iters)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Show the progress of a validation."""
        self._progress(runner, "validation", batch_idx + 1, len(runner.val_dataloader))

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Show the progress of a test."""
        self._progress(runner, "test", batch_idx + 1, len(runner.test_dataloader))

    def _progress(self, runner: Runner, what: str, done: int, total: int) -> None:
        if time.monotonic() - self._last < EVERY:
            return
        left = runner.message_hub.runtime_info.get("eta")  # IterTimerHook's
        eta = "" if left is None else f"  ETA {timedelta(seconds=round(left))}"
        rest = "  ".join([f"{done}/{total}{eta}", *(latest(runner) if what == "training" else ())])
        bar = max(min(BAR, _width() - len(what) - len(rest) - len(" [] ")), 0)  # scores matter more than a long bar
        filled = bar * done // max(total, 1)
        self._show(f"{what} [{'#' * filled}{'-' * (bar - filled)}] {rest}")

    def _show(self, text: str) -> None:
        self._write(f"{CLEAR}{text[: _width()]}")
        self._visible, self._last = True, time.monotonic()

    def _write(self, text: str) -> None:
        with suppress(OSError):  # the terminal was closed, and the training continues
            self._stream.write(text)
            self._stream.flush()


def _width() -> int:
    return shutil.get_terminal_size().columns - 1
