"""Judges what comes of an input: a right result, or an error that names the input; all else is a failure."""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from types import FrameType
from typing import Optional

SEED = int(os.environ.get("FUZZ_SEED", "0"))
TIMES = float(os.environ.get("FUZZ_TIMES", "1"))  # more cases: FUZZ_TIMES=20 FUZZ_SEED=3 pytest tests/fuzz
SECONDS = 20  # that a case may take
MEMORY = 4 << 30  # bytes that a case may take
# Python's own words for a value that some code of ours did not expect.
UNNAMED = (
    *("invalid literal for int", "could not convert", "not enough values to unpack", "too many values to unpack"),
    *("embedded null", "Exceeds the limit", "cannot convert float", "math domain error", "is not in list"),
    *("codec can't decode", "surrogates not allowed", "malformed node", "The truth value of an array"),
)


class Wrong(Exception):
    """A result that is not the right one."""


class Fuzz:
    """Cases of one kind of input.

    Args:
        part: what is fuzzed; a part of the seed.
        cases: how many there are, times FUZZ_TIMES.
    """

    def __init__(self, part: str, cases: int) -> None:
        self.part = part
        self.cases = max(1, round(cases * TIMES))
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.start = time.monotonic()

    def draws(self) -> Iterator[random.Random]:
        """Yield a source of random choices for each case; it depends on the seed and the case's number alone."""
        for case in range(self.cases):
            yield random.Random(f"{self.part} {SEED} {case}")

    def judge(
        self,
        shown: object,
        act: Callable[[], object],
        names: Collection[str] = (),
        also: tuple[type[Exception], ...] = (),
        must_work: bool = False,
    ) -> None:
        """Give the input to the code and count the outcome.

        Args:
            shown: the input, for the report.
            act: gives it to the code; raises Wrong for a wrong result.
            names: a message must hold one of these texts; empty texts count for nothing.
            also: errors, besides ValueError and a command line's, that the code documents for the user.
            must_work: the input is right, so that an error is a failure.
        """
        outcome, told = _outcome(act, also)
        names = [name for name in names if name]
        if outcome == "named error" and names and not any(name in told for name in names):
            outcome, told = "FAILED", f"the message names none of {names}: {told}"
        if outcome == "named error" and must_work:
            outcome, told = "FAILED", f"a right input is refused: {told}"
        self.outcomes[outcome] += 1
        if outcome == "FAILED":
            case = sum(self.outcomes.values()) - 1
            self.failures.append(f"{self.part}, seed {SEED}, case {case}: {str(shown)[:600]}\n    -> {told[:600]}")

    def report(self) -> str:
        """Return one line of counts."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"fuzz {self.part}: seed {SEED}, {self.cases} cases: {counts} ({time.monotonic() - self.start:.0f} s)"


def _outcome(act: Callable[[], object], also: tuple[type[Exception], ...]) -> tuple[str, str]:
    said = io.StringIO()
    try:
        with _limits(), contextlib.redirect_stderr(said):
            act()
    except SystemExit as error:
        if error.code in (0, None):
            return "right result", ""
        if isinstance(error.code, str):
            return "named error", error.code
        told = said.getvalue().partition("error: ")[2]
        return ("named error", told) if told else ("FAILED", f"exit {error.code} without a word: {said.getvalue()}")
    except (ValueError, *also) as error:
        told = str(error)
        unnamed = next((words for words in UNNAMED if words in told), None)
        if told and (unnamed is None or told.index(unnamed) > 20):  # quoted behind words of ours
            return "named error", told
        return "FAILED", _place(error)
    except Exception as error:
        return "FAILED", _place(error)
    return "right result", ""


def _place(error: Exception) -> str:
    ours = [frame for frame in traceback.extract_tb(error.__traceback__) if "davpt_seg/" in frame.filename]
    where = f"{ours[-1].filename}:{ours[-1].lineno}" if ours else "outside of davpt_seg"
    return f"{type(error).__name__}: {error} ({where})"


@contextlib.contextmanager
def _limits() -> Iterator[None]:
    """Turn a case that takes too much time or memory into an error."""

    def stop(number: int, frame: Optional[FrameType]) -> None:
        raise TimeoutError(f"took more than {SECONDS} s")

    with open("/proc/self/statm") as file:
        now = int(file.read().split()[0]) * resource.getpagesize()
    memory = resource.getrlimit(resource.RLIMIT_AS)
    before = signal.signal(signal.SIGALRM, stop)
    resource.setrlimit(resource.RLIMIT_AS, (now + MEMORY, memory[1]))
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, memory)
