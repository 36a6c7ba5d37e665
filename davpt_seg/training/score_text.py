"""Scores as text: COCO's average precision by its usual names and in percent, others as they are logged."""

from __future__ import annotations

import re
from collections.abc import Mapping
from numbers import Real
from typing import Any

PRECISION = re.compile(r"(?:.*/)?(bbox|segm)_mAP(?:_(\d+|s|m|l))?$")  # CocoMetric's fractions
KINDS = {"bbox": "", "segm": "mask "}
SIZES = ("s", "m", "l")  # of objects; a set without some has -1 there


def name_of(score: str) -> str:
    """Return the usual name of a score: AP, AP50 or mask AP75 for CocoMetric's, others as they are."""
    found = PRECISION.match(score)
    return f"{KINDS[found[1]]}AP{found[2] or ''}" if found else score


def value_of(score: str, value: float) -> str:
    """Return a score's value: average precision in percent with a decimal, others with four digits.

    pycocotools' average precision is -1 where there is no object to find.
    """
    if not PRECISION.match(score):
        return f"{value:.4g}"
    return f"{100 * value:.1f}" if value >= 0 else "n/a"


def listed(scores: Mapping[str, Any]) -> str:
    """Return scores with their names in one line, without AP of objects by size and without what is no number."""
    return ", ".join(
        f"{name_of(name)} {value_of(name, float(value))}"
        for name, value in scores.items()
        if isinstance(value, Real) and not _of_size(name)
    )


def _of_size(score: str) -> bool:
    found = PRECISION.match(score)
    return bool(found) and found[2] in SIZES  # type: ignore[index]
