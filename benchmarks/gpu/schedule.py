"""How the minutes are shared by the parts."""

from __future__ import annotations

import time
from collections.abc import Sequence

SHARES = {"correctness": 0.25, "speed": 0.35, "evidence": 0.4}


class Schedule:
    """Deadlines of the parts. What a part leaves of its time, later parts have.

    Args:
        minutes: time for all parts together.
        parts: the parts that run, in the order of ``SHARES``.
    """

    def __init__(self, minutes: float, parts: Sequence[str]) -> None:
        self.start = time.monotonic()
        total, passed = sum(SHARES[part] for part in parts), 0.0
        self.deadlines: dict[str, float] = {}
        for part in parts:
            passed += SHARES[part] / total
            self.deadlines[part] = self.start + 60 * minutes * passed

    def left(self, part: str) -> float:
        """Return the seconds until a part should be done, at least 0."""
        return max(0.0, self.deadlines[part] - time.monotonic())
