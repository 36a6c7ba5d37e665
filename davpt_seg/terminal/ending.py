"""How a command ends: each error is one paragraph on stderr, and an exit status."""

from __future__ import annotations

import functools
import logging
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Callable, NoReturn, Optional, TypeVar

from ..errors import DIVERGED, DivergedError, InputError
from ..packages import needed
from ..quiet import known_warnings_hidden
from .frames import custom_place, last_place
from .log_files import log_to_files
from .outputs import flushed, lost_outputs_survived
from .parser import TRACEBACK
from .prints import known_prints_logged
from .processes import leave_message
from .program import running_program
from .system import of_system

CRASHED, WRONG, INTERRUPTED = 1, 2, 130
Main = TypeVar("Main", bound=Callable[..., Any])


def command(main: Main) -> Main:
    """Let a ``main(argv)`` end with one paragraph for each error.

    ``InputError`` ends with status 2, ``DivergedError`` with 3, Ctrl-C with 130, an error of the disk with 2, and any
    other exception, which may be a bug, with 1. The paragraph, with the traceback of such an exception, also goes to
    the log files that MMEngine has open. Tracebacks are printed only with ``--traceback``.

    Args:
        main: takes a list of arguments, and perhaps more.

    Returns:
        The function; it raises SystemExit in place of what it raised before. Without arguments it takes those of the
        command line.
    """

    @functools.wraps(main)
    def run(argv: Optional[Sequence[str]] = None, *args: Any, **kwargs: Any) -> Any:
        arguments = list(sys.argv[1:] if argv is None else argv)
        try:
            with known_warnings_hidden(), lost_outputs_survived(), known_prints_logged():
                return main(arguments, *args, **kwargs)
        except ImportError as error:
            if needed(error):  # the console command says how to install it
                raise
            _end(error, TRACEBACK in arguments)
        except (Exception, KeyboardInterrupt) as error:
            _end(error, TRACEBACK in arguments)

    return run  # type: ignore[return-value]


def _end(error: BaseException, shows_traceback: bool) -> NoReturn:
    if not flushed(sys.stdout) and isinstance(error, BrokenPipeError):  # | head; other pipes are those of data workers
        raise SystemExit(CRASHED) from None
    status, text = _paragraph(error)
    if not text:  # another process of the training says it
        raise SystemExit(status) from None
    interrupted = isinstance(error, KeyboardInterrupt)
    details = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    files = log_to_files(f"{text}\n{details}" if status == CRASHED else text, logging.ERROR)
    if shows_traceback:
        print(details, file=sys.stderr)
    elif status == CRASHED:
        text += f". Traceback: {files[0]}" if files else f". {TRACEBACK} prints the traceback"
    if not interrupted and leave_message(text):
        raise SystemExit(status) from None
    with suppress(OSError):  # stderr has no reader, or its disk is full
        print(text if interrupted else f"{running_program()}: error: {text}", file=sys.stderr)
    raise SystemExit(status) from None


def _paragraph(error: BaseException) -> tuple[int, str]:
    """Return the exit status and the message of an exception."""
    if isinstance(error, KeyboardInterrupt):
        return getattr(error, "status", INTERRUPTED), str(error) if error.args else "Interrupted."
    if isinstance(error, InputError):
        return DIVERGED if isinstance(error, DivergedError) else WRONG, _one_paragraph(_of_worker(str(error)))
    if (text := of_system(error)) is not None:
        return WRONG, text
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return CRASHED, f"the memory is too small: lower the batch size or the size of the images ({_reason(error)})"
    custom = custom_place(error)
    place = f"your file {custom}" if custom else last_place(error)
    return CRASHED, f"unexpected {type(error).__name__}: {_reason(error)} (in {place})"


def _one_paragraph(text: str) -> str:
    """Join the lines of a message, but for those of a list (``- ...``), which stay."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if any(line.startswith("- ") for line in lines):
        return text
    return " ".join(line if line.endswith((".", ":", ";", ",")) else f"{line};" for line in lines).rstrip(";")


def _reason(error: BaseException) -> str:
    text = str(error)
    if isinstance(error, KeyError) and len(error.args) == 1 and " " in str(error.args[0]):
        text = str(error.args[0])  # a sentence, of which str(error) is the repr
    frames = traceback.extract_tb(error.__traceback__)
    return " ".join(_of_worker(text).split()) or f"no message, at {frames[-1].line if frames else 'an unknown line'!r}"


def _of_worker(text: str) -> str:
    """Return the message of an error in a data loader's worker, whose text is a traceback there."""
    if not re.match(r"Caught \S+ in DataLoader worker process", text):
        return text
    last = re.split(r"\n(?=\S)", text.strip())[-1]  # a traceback's lines are indented, but for its message
    return last.partition(": ")[2] or last
