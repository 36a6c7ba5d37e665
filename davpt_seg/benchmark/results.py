"""What a run left behind: scores, times and parameter counts, from its own files."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path
from typing import Any, Optional

from .files import read_json, write_json

SCORE = "accuracy/top1"
PARTS = re.compile(r"  (\w+): ([\d,]+) of [\d,]+ trained$", re.MULTILINE)  # as TrainedTableHook logs them
TRAINING = re.compile(r"Epoch\(train\)\s+\[\d+\]\[\s*\d+/(\d+)\].*? time: ([\d.]+)")


def result(folder: Path) -> Optional[dict[str, Any]]:
    """Return what a run that ended gave; None where it has not ended."""
    return read_json(folder / "result.json")


def collect(folder: Path, seconds: Optional[float]) -> Optional[dict[str, Any]]:
    """Write ``result.json`` of a run whose test has written its scores.

    Args:
        folder: of the run.
        seconds: that it took, where it is known.

    Returns:
        What was written; None where there are no scores.
    """
    scores = read_json(folder / "scores.json")
    if scores is None or not math.isfinite(scores.get(SCORE, math.nan)):
        return None
    log = "".join(path.read_text(errors="replace") for path in sorted((folder / "attempts").glob("*.log")))
    took = None if seconds is None else round(seconds, 1)
    found = dict(score=scores[SCORE], seconds=took, **parameter_counts(log))
    found["seconds_per_epoch"] = seconds_per_epoch(log)
    write_json(folder / "result.json", found)
    return found


def parameter_counts(log: str) -> dict[str, Optional[int]]:
    """Read how many parameters a run trained from the table that it logged before training.

    Returns:
        ``tuned``, without the head, and ``tuned_with_head``; None where the log has no such table.
    """
    parts = {name: int(count.replace(",", "")) for name, count in PARTS.findall(log)}
    if "backbone" not in parts:
        return dict(tuned=None, tuned_with_head=None)
    return dict(tuned=parts["backbone"], tuned_with_head=sum(parts.values()))


def seconds_per_epoch(log: str) -> Optional[float]:
    """Compute the training time of an epoch, validation left out, from the times of iterations in a run's log.

    It is the median time, which warming up and pauses leave alone, times the iterations of an epoch.
    """
    lines = TRAINING.findall(log)
    if not lines:
        return None
    return round(int(lines[-1][0]) * statistics.median(float(time) for _, time in lines), 3)
