"""Comparison of two methods seed by seed: the mean difference and its confidence interval."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple


class Interval(NamedTuple):
    """Mean and sample standard deviation of paired differences, and half the width of the mean's 95 % interval.

    The interval is by the t distribution. Standard deviation and half width are NaN for a single pair.
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
    from scipy.special import stdtrit  # quantiles of t; a table without differences needs no scipy

    number = len(differences)
    std = statistics.stdev(differences) if number > 1 else float("nan")
    half = float(stdtrit(number - 1, 0.975)) * std / number**0.5 if number > 1 else float("nan")
    return Interval(statistics.mean(differences), std, half, number)
