"""Terminals, pipes and log files that a command can no longer write, and characters that they do not have."""

from __future__ import annotations

import logging
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any


@contextmanager
def lost_outputs_survived() -> Iterator[None]:
    """Let a command run to its end where its terminal was closed, its pipe has no reader, or the disk of a log is full.

    The first log record that cannot be written is reported by one line on stderr; Python's logging would print a
    traceback for each record. Characters that the terminal's encoding does not have are printed as ``\\u....``.
    """
    handlers: Any = logging.Handler
    original = handlers.handleError
    reported: set[str] = set()

    def handle(self: logging.Handler, record: logging.LogRecord) -> None:
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            original(self, record)
            return
        if isinstance(self, logging.FileHandler):
            where = self.baseFilename
        else:
            where = "the terminal"
            discard(getattr(self, "stream", None))
        if where not in reported:
            reported.add(where)
            with suppress(OSError):
                print(f"{where} cannot be written ({error.strerror or error}); the command continues", file=sys.stderr)

    for stream in (sys.stdout, sys.stderr):
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    handlers.handleError = handle
    try:
        yield
    finally:
        handlers.handleError = original


def flushed(stream: Any) -> bool:
    """Write what a stream has buffered; return False, and discard what follows, if it has no reader."""
    try:
        if stream is not None:  # closed, by >&-
            stream.flush()
    except OSError:
        discard(stream)
        return False
    if _has_reader(stream):
        return True
    discard(stream)
    return False


def _has_reader(stream: Any) -> bool:
    """Return whether a pipe's other end is open; True for what is no pipe."""
    if not hasattr(select, "poll"):  # Windows
        return True
    with suppress(AttributeError, OSError, ValueError):  # None, closed, or not a file
        poll = select.poll()
        poll.register(stream.fileno(), 0)
        return not any(events & select.POLLERR for _, events in poll.poll(0))
    return True


def discard(stream: Any) -> None:
    """Let all that is written to a stream be lost, also what Python writes when it exits."""
    with suppress(AttributeError, OSError, ValueError):  # None, closed, or not a file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
