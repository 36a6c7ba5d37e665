"""Lines that libraries print: they are in the log file, and not on the terminal."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import Any

from .log_files import log_to_files

#: Starts of lines that pycocotools and mmdet print while they read and compare annotations: progress, and a table of
#: twelve lines for each validation, whose scores are in the line of the validation.
PRINTS = re.compile(
    r"loading annotations into memory\.\.\.|Loading and preparing results\.\.\.|creating index\.\.\.|index created!|"
    r"Running per image evaluation\.\.\.|Evaluate annotation type \*|Accumulating evaluation results\.\.\.|"
    r"(Done|DONE) \(t=[\d.]+s\)| Average (Precision|Recall) "
)


class Printed:
    """Standard output without the lines of :data:`PRINTS`.

    Args:
        stream: the standard output.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._hidden = False  # whether the last text was, so that the end of line, which print writes next, is, too

    def write(self, text: str) -> int:
        """Write a text, or log it if it is known."""
        hidden, self._hidden = self._hidden, False
        if hidden and text == "\n":
            return len(text)
        if not PRINTS.match(text):
            written: int = self._stream.write(text)
            return written
        self._hidden = not text.endswith("\n")
        log_to_files(text.rstrip("\n"), logging.INFO)
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def known_prints_logged() -> Iterator[None]:
    """Keep the lines of :data:`PRINTS` from the terminal; the log file of a training or test has them."""
    if sys.stdout is None:  # closed
        yield
        return
    printed: Any = Printed(sys.stdout)
    with redirect_stdout(printed):
        yield
