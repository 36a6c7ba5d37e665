"""What a run left behind: scores, times and parameter counts, from its own files."""

from __future__ import annotations

import math
import re
import statistics
from pathlib import Path
from typing import Any, Optional

from .errors import ProtocolError
from .files import read_json, write_json
from .study import Run

SCORE = "accuracy/top1"
TRAINING = re.compile(r"Epoch\(train\)\s+\[\d+\]\[\s*\d+/(\d+)\].*? time: ([\d.]+)")  # as MMEngine logs it


def result(folder: Path) -> Optional[dict[str, Any]]:
    """Return what a run that ended gave; None where it has not ended."""
    return read_json(folder / "result.json")


def collect(run: Run, folder: Path, seconds: Optional[float]) -> Optional[dict[str, Any]]:
    """Write ``result.json`` of a run whose test has written its scores.

    Args:
        run: whose they should be.
        folder: of the run.
        seconds: that it took, where it is known.

    Returns:
        What was written; None where there are no scores.

    Raises:
        ProtocolError: the scores are another run's, or of images that this one must not see.
    """
    scores = read_json(folder / "scores.json")
    if scores is None or not math.isfinite(scores.get(SCORE, math.nan)):
        return None
    about = scores["about"]
    _check_own(run, folder, about)
    log = "".join(path.read_text(errors="replace") for path in sorted((folder / "attempts").glob("*.log")))
    found = dict(
        score=scores[SCORE],
        seconds=None if seconds is None else round(seconds, 1),
        tuned=about["trained_in_backbone"],
        tuned_with_head=about["trained"],
        seconds_per_epoch=seconds_per_epoch(log),
    )
    write_json(folder / "result.json", found)
    return found


def _check_own(run: Run, folder: Path, about: dict[str, Any]) -> None:
    told = (about["config"], about["seed"], about["split"] == "test")
    if told != (run.words(), run.seed, run.stage == "final"):
        raise ProtocolError(
            f"{folder / 'scores.json'} is of {about['config']}, seed {about['seed']}, on the split {about['split']!r}; "
            f"expected a {run.stage} run of {run.words()}, seed {run.seed}. Remove the folder, and it is run again"
        )


def seconds_per_epoch(log: str) -> Optional[float]:
    """Compute the training time of an epoch, validation left out, from the times of iterations in a run's log.

    It is the median time, which warming up and pauses leave alone, times the iterations of an epoch.
    """
    lines = TRAINING.findall(log)
    if not lines:
        return None
    return round(int(lines[-1][0]) * statistics.median(float(time) for _, time in lines), 3)
