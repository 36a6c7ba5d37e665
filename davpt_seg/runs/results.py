"""Results of a run: scores, times and parameter counts, from its files."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from .json_files import is_number, name_damaged, read_json, write_json
from .training import Training

# MMEngine's log of an iteration, of an epoch or of all: [3][10/25] or [10/400]; memory, in MB, only on a GPU.
ITERATION = re.compile(r"(Epoch|Iter)\(train\)\s+(?:\[\d+\])?\[\s*\d+/(\d+)\].*? time: ([\d.]+)")
ABOUT = {"config", "seed", "split", "trained", "trained_in_backbone"}
TIMES = ("seconds_per_iteration", "seconds_per_epoch", "ms_per_image")
NUMBERS = ("seconds", "tuned", "tuned_with_head", "memory", *TIMES)
MEMORY = re.compile(r"\(train\) .*? memory: (\d+)")


def result(folder: Path) -> Optional[dict[str, Any]]:
    """Return the result of a run; None if it has not ended."""
    path = folder / "result.json"
    found = read_json(path)
    if found is None:
        return None
    if not is_number(found.get("score")) or not all(found.get(key) is None or is_number(found[key]) for key in NUMBERS):
        name_damaged(path)
        return None
    return found


def collect(training: Training, folder: Path, seconds: Optional[float]) -> Optional[dict[str, Any]]:
    """Write ``result.json`` of a run whose test has written its scores.

    Args:
        training: training that the scores must belong to.
        folder: folder of the run.
        seconds: duration of the run, if known.

    Returns:
        The result; None without scores, or without importances if the run measures them.

    Raises:
        InputError: the scores belong to another run, or to images that this run must not see.
    """
    if not all((folder / name).is_file() for name in training.files):
        return None
    scores = read_json(folder / "scores.json")
    if scores is None or not is_number(scores.get(training.metric)):
        return None
    about = scores.get("about")
    if not isinstance(about, dict) or not about.keys() >= ABOUT:
        raise InputError(
            f"{folder / 'scores.json'} needs 'about', a mapping with {', '.join(sorted(ABOUT))}, as davpt-seg train "
            "writes it; add them to what your --command writes"
        )
    _check_own(training, folder, about)
    log = "".join(path.read_text(errors="replace") for path in sorted((folder / "attempts").glob("*.log")))
    found = dict(
        score=scores[training.metric] * training.to_percent,
        seconds=None if seconds is None else round(seconds, 1),
        tuned=about["trained_in_backbone"],
        tuned_with_head=about["trained"],
        **times(log, about.get("batch_size")),
        memory=max((int(megabytes) / 1024 for megabytes in MEMORY.findall(log)), default=None),
    )
    write_json(folder / "result.json", found)
    return found


def diverged(folder: Path, seconds: float) -> None:
    """Write ``result.json`` of a trial that diverged, with the lowest score, so that others are chosen."""
    write_json(folder / "result.json", dict(score=0.0, diverged=True, seconds=round(seconds, 1)))


def _check_own(training: Training, folder: Path, about: dict[str, Any]) -> None:
    found = (about["config"], about["seed"], about["split"] == "test")
    if found != (training.words, training.seed, training.stage == "final"):
        raise InputError(
            f"{folder / 'scores.json'} is of {about['config']}, seed {about['seed']}, on the split {about['split']!r}; "
            f"expected a {training.stage} run of {training.words}, seed {training.seed}. Remove the folder to run it "
            "again"
        )


def times(log: str, batch_size: Optional[int]) -> dict[str, Optional[float]]:
    """Compute training times, without validation, from the iterations in a run's log.

    Args:
        log: text of MMEngine's log.
        batch_size: images per iteration, if known.

    Returns:
        ``seconds_per_epoch`` or ``seconds_per_iteration``, depending on the training, and ``ms_per_image``, or None if
        unknown. The time of an iteration is the median, which is robust to warm-up and pauses.
    """
    lines = ITERATION.findall(log)
    if not lines:
        return dict(seconds_per_iteration=None, seconds_per_epoch=None, ms_per_image=None)
    median = statistics.median(float(time) for _, _, time in lines)
    kind, count, _ = lines[-1]
    return dict(
        seconds_per_iteration=median if kind == "Iter" else None,
        seconds_per_epoch=round(int(count) * median, 3) if kind == "Epoch" else None,
        ms_per_image=1000 * median / batch_size if batch_size else None,
    )
