"""Silence for what other libraries log and warn of: what a user cannot act on is not on the terminal."""

from __future__ import annotations

import copy
import logging
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Hidden(NamedTuple):
    """Messages that the terminal omits.

    Attributes:
        start: regular expression of a message's start.
        reason: why it is no use on the terminal.
        lines: number of lines of a log record that stay there.
    """

    start: str
    reason: str
    lines: int = 0


#: Log records of a run. The log file has all of them.
RECORDS = (
    Hidden(r"\n-+\nSystem environment:", "30 to 50 lines; our summary has what matters"),
    Hidden(r"Config:\n", "500 lines; the work dir has it as a file"),
    Hidden(r"Hooks will be executed in the following order:", "100 lines about MMEngine's inside"),
    Hidden(r"Distributed training is not used, all SyncBatchNorm", "commands replaced SyncBN before"),
    Hidden(r"paramwise_options -- ", "up to four lines for each parameter; our summary has the rates"),
    Hidden(r"\d+ frozen parameters are not in the optimizer", "the table of trained parameters says it"),
    Hidden(r"The prefix is not set in metric class ", "scores have no prefix on purpose"),
    Hidden(r'"FileClient" will be deprecated in future', "MMEngine's own hook uses it"),
    Hidden(r'"HardDiskBackend" is the alias of "LocalBackend"', "MMEngine's own hook uses it"),
    Hidden(r"Checkpoints will be saved to ", "our summary has the work dir"),
    Hidden(r"Load checkpoint from ", "MMEngine prints the same in other words"),
    Hidden(r"Exp name: ", "the name of the config and the time, once an epoch"),
    Hidden(r"Using env variable ", "logged when a config is read; here it is read again"),
    Hidden(r"Evaluating (bbox|segm|proposal)\.\.\.", "the status line shows the validation"),
    Hidden(r"(bbox|segm)_mAP_copypaste: ", "the validation's line has these scores"),
    Hidden(r"(Each class has its own prompt|Classes to prompts\b.*):?\n", "a line for each prompt", lines=6),
)

#: Python's warnings, where a config of ours or MMEngine itself is the cause, and the values are on purpose.
WARNINGS = (
    Hidden(r"``build_(loss|head|neck|backbone)`` would be deprecated soon", "mmseg's own heads call it"),
    Hidden(r"Default ``avg_non_ignore`` is False", "mmseg's published scores are of this default, and so are ours"),
    Hidden(r"The draw is False, it means that the hook for visualization", "test --show-dir paints images"),
    Hidden(r"`torch\.cuda\.amp\.(GradScaler|autocast)\(args\.\.\.\)` is deprecated", "MMEngine calls it"),
    Hidden(r"Setting (OMP|MKL)_NUM_THREADS environment variable for each process", "MMEngine sets it on purpose"),
    Hidden(r"`broadcast_buffers` is deprecated", "MMEngine's wrapper of several processes passes it"),
    Hidden(r"This DataLoader will create \d+ worker processes in total", "our summary names the option"),
    Hidden(r"torch\.meshgrid: in an upcoming release", "mmdet calls it for anchors; the default is meant"),
    Hidden(r"pkg_resources is deprecated as an API", "MMEngine and mmcv import it"),
)


@contextmanager
def known_warnings_hidden() -> Iterator[None]:
    """Drop Python's warnings of :data:`WARNINGS`; filters that are set inside end with it."""
    with warnings.catch_warnings():
        for hidden in WARNINGS:
            warnings.filterwarnings("ignore", hidden.start)
        yield


class TerminalFilter(logging.Filter):
    """Filter of a handler that drops records of :data:`RECORDS`, or all but their first lines.

    Args:
        handler: the handler, which writes to the terminal.
    """

    def __init__(self, handler: logging.Handler) -> None:
        super().__init__()
        self.handler = handler

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether to write a record as it is."""
        text = record.getMessage()
        hidden = next((each for each in RECORDS if re.match(each.start, text)), None)
        if hidden is None or getattr(record, "shortened", False):
            return True
        lines = text.splitlines()
        if hidden.lines and len(lines) <= hidden.lines + 1:
            return True
        if hidden.lines:
            short = copy.copy(record)
            rest = f"  ... {len(lines) - hidden.lines} more lines in the log file"
            short.msg, short.args = "\n".join([*lines[: hidden.lines], rest]), ()
            short.__dict__["shortened"] = True
            self.handler.handle(short)
        return False


@contextmanager
def without_notes(level: int = logging.INFO) -> Iterator[None]:
    """Drop log records up to a level; by default, warnings and errors pass."""
    before = logging.root.manager.disable
    _disable(level)
    try:
        yield
    finally:
        _disable(before)


def _disable(level: int) -> None:
    """Disable log records up to a level, also of MMEngine's loggers, which remember what is enabled."""
    logging.disable(level)
    if "mmengine.logging" in sys.modules:
        logger = sys.modules["mmengine.logging"].MMLogger.get_current_instance()
        logger.setLevel(logger.level)  # forgets what was enabled
