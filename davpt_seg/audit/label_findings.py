"""What the values of all masks say about a config, as findings of a report."""

from __future__ import annotations

from collections.abc import Mapping

from .data_check import DataCheck
from .findings import Finding
from .label_advice import advice_on
from .label_patterns import contradictions
from .label_values import SeenValues


def label_findings(splits: Mapping[str, SeenValues], settings: DataCheck) -> tuple[list[Finding], list[Finding]]:
    """Find values that contradict the config.

    Args:
        splits: what was seen in the masks, by split.
        settings: ``labels="warn"`` makes notes of problems.

    Returns:
        Problems and notes.
    """
    problems: list[Finding] = []
    notes: list[Finding] = []
    for case in contradictions(splits):
        certain = case.certain and settings.labels == "refuse"
        (problems if certain else notes).append(Finding(case.kind, case.split, case.text))
    for name, seen in splits.items():
        advice = advice_on(seen.wrong, seen.pixels, seen.scheme) if seen.wrong else None
        if advice:
            (problems if settings.labels == "refuse" else notes).append(Finding("numbering", name, advice))
    return problems, notes
