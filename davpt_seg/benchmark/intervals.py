"""Two methods compared seed by seed: the mean of the differences, and how well it is known."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from scipy.stats import t


class Interval(NamedTuple):
    """Mean and sample deviation of paired differences, and half the width of the mean's 95 % interval (t distribution).

    Deviation and half width are NaN for a single pair.
    """

    mean: float
    deviation: float
    half: float
    pairs: int

    def __str__(self) -> str:
        return f"{self.mean:+.1f} ± {self.half:.1f} ({self.pairs} pairs)"


def paired(scores: Mapping[int, float], reference: Mapping[int, float]) -> Interval:
    """Compare scores with a reference's, seed by seed, over the seeds that both have.

    Raises:
        ValueError: no seed that both have.
    """
    differences = [scores[seed] - reference[seed] for seed in scores if seed in reference]
    if not differences:
        raise ValueError("no seed that both have")
    number = len(differences)
    deviation = statistics.stdev(differences) if number > 1 else float("nan")
    half = float(t.ppf(0.975, number - 1)) * deviation / number**0.5 if number > 1 else float("nan")
    return Interval(statistics.mean(differences), deviation, half, number)
