"""Check of a fuzzed input's outcome: a right result, or an error that names the input; all else is a failure."""

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
SECONDS = 20  # limit of a case
MEMORY = 4 << 30  # bytes, limit of a case
# Python's messages for a value that our code did not expect.
UNNAMED = (
    *("invalid literal for int", "could not convert", "not enough values to unpack", "too many values to unpack"),
    *("embedded null", "Exceeds the limit", "cannot convert float", "math domain error", "is not in list"),
    *("codec can't decode", "surrogates not allowed", "malformed node", "The truth value of an array"),
)


class Wrong(Exception):
    """Error for a wrong result."""


class Fuzz:
    """Cases of one kind of input.

    Args:
        part: name of what is fuzzed, a part of the seed.
        cases: number of cases, which FUZZ_TIMES multiplies.
    """

    def __init__(self, part: str, cases: int) -> None:
        self.part = part
        self.cases = max(1, round(cases * TIMES))
        self.outcomes: Counter[str] = Counter()
        self.failures: list[str] = []
        self.start = time.monotonic()

    def draws(self) -> Iterator[random.Random]:
        """Yield a random generator for each case, which depends only on the seed and the case's number."""
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
        """Pass the input to the code and count the outcome.

        Args:
            shown: input for the report.
            act: function that passes it to the code, and raises Wrong for a wrong result.
            names: texts of which a message must hold one; empty texts are ignored.
            also: errors, in addition to ValueError and a command line's, that the code documents for the user.
            must_work: whether the input is right, so that an error is a failure.
        """
        outcome, message = _outcome(act, also)
        names = [name for name in names if name]
        if outcome == "named error" and names and not any(name in message for name in names):
            outcome, message = "FAILED", f"the message names none of {names}: {message}"
        if outcome == "named error" and must_work:
            outcome, message = "FAILED", f"a right input is refused: {message}"
        self.outcomes[outcome] += 1
        if outcome == "FAILED":
            case = sum(self.outcomes.values()) - 1
            self.failures.append(f"{self.part}, seed {SEED}, case {case}: {str(shown)[:600]}\n    -> {message[:600]}")

    def report(self) -> str:
        """Return one line of counts."""
        counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        return f"fuzz {self.part}: seed {SEED}, {self.cases} cases: {counts} ({time.monotonic() - self.start:.0f} s)"


def _outcome(act: Callable[[], object], also: tuple[type[Exception], ...]) -> tuple[str, str]:
    printed = io.StringIO()
    try:
        with _limits(), contextlib.redirect_stderr(printed):
            act()
    except SystemExit as error:
        if error.code in (0, None):
            return "right result", ""
        if isinstance(error.code, str):
            return "named error", error.code
        message = printed.getvalue().partition("error: ")[2]
        return (
            ("named error", message)
            if message
            else ("FAILED", f"exit {error.code} without a word: {printed.getvalue()}")
        )
    except (ValueError, *also) as error:
        message = str(error)
        unnamed = next((words for words in UNNAMED if words in message), None)
        if message and (unnamed is None or message.index(unnamed) > 20):  # quoted after our words
            return "named error", message
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
    """Raise an error in a case that takes too much time or memory."""

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
