"""The report: one line for each check, printed and written to JSON as soon as it is there."""

from __future__ import annotations

import gc
import json
import os
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Optional

import torch

OK, DIFFERS, FAILED, OOM, SKIPPED, MEASURED = "OK", "DIFFERS", "FAILED", "OUT OF MEMORY", "skipped", "measured"
#: What one check may raise without ending the others: errors of PyTorch, of its compilers, and of our own checks.
FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)


class Skip(Exception):
    """Raised by a check that cannot run here; the message gives the reason."""


@dataclass
class Found:
    """What a check found.

    Args:
        status: ``OK``, ``DIFFERS`` or ``MEASURED``.
        detail: the figures that matter, as text for the table.
        figures: all figures, for the JSON file.
    """

    status: str
    detail: str
    figures: dict[str, Any] = field(default_factory=dict)


@dataclass
class Line(Found):
    """A found line with its place in the report."""

    part: str = ""
    name: str = ""
    seconds: float = 0.0


def within(limits: dict[str, tuple[float, float]], figures: Optional[dict[str, Any]] = None) -> Found:
    """Compare figures with their tolerances.

    Args:
        limits: by name, a figure and the most that it may be. A figure that is not a number never fits.
        figures: further figures for the JSON file.
    """
    over = [name for name, (value, limit) in limits.items() if not value <= limit]
    detail = ", ".join(
        f"{name} {value:.1e} ({'over' if name in over else 'of'} {limit:.0e})"
        for name, (value, limit) in limits.items()
    )
    return Found(DIFFERS if over else OK, detail, {**dict(limits=limits), **(figures or {})})


class Report:
    """All lines of one run.

    Args:
        file: the JSON file, rewritten after every line.
        header: what the run was: the device, versions, options.
    """

    def __init__(self, file: Path, header: dict[str, Any]) -> None:
        self.file, self.header = file, header
        self.lines: list[Line] = []
        self.start = time.monotonic()
        file.parent.mkdir(parents=True, exist_ok=True)
        self.write()

    def attempt(self, part: str, name: str, check: Callable[[], Found]) -> Line:
        """Run a check and add its line; an error or a lack of memory becomes the line."""
        begun = time.monotonic()
        try:
            found = check()
        except Skip as reason:
            found = Found(SKIPPED, str(reason))
        except FAILURES as error:
            status = OOM if _lacks_memory(error) else FAILED
            found = Found(status, _first_line(error), dict(traceback=traceback.format_exc()))
        line = self.add(part, name, found, time.monotonic() - begun)
        if torch.cuda.is_available():
            gc.collect()  # what an error or a compiled model kept alive
            torch.cuda.empty_cache()
        return line

    def add(self, part: str, name: str, found: Found, seconds: float = 0.0) -> Line:
        """Add a line."""
        line = Line(found.status, found.detail, found.figures, part, name, seconds)
        self.lines.append(line)
        elapsed = time.monotonic() - self.start
        print(f"{elapsed:4.0f} s  {part:11}  {name:36}  {found.status:8}  {found.detail}", flush=True)
        self.write()
        return line

    def write(self) -> None:
        """Replace the JSON file by one of all lines so far."""
        fresh = self.file.with_suffix(".part")
        content = dict(self.header, seconds=time.monotonic() - self.start, lines=[asdict(line) for line in self.lines])
        fresh.write_text(json.dumps(content, indent=1, default=str))
        os.replace(fresh, self.file)

    def of(self, part: str) -> list[Line]:
        """Return the lines of a part."""
        return [line for line in self.lines if line.part == part]

    @property
    def wrong(self) -> list[Line]:
        """Lines that make the command fail: what differs or failed, and a correctness check without memory."""
        return [
            line
            for line in self.lines
            if line.status in (DIFFERS, FAILED) or (line.status == OOM and line.part == "correctness")
        ]


def _lacks_memory(error: BaseException) -> bool:
    """Return whether an error is a lack of memory, of PyTorch's allocator or of cuBLAS's and cuDNN's own."""
    texts = ("out of memory", "ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200] if text else '(no message)'}"
