"""What is said while a benchmark runs: a line for each run that ended, what is left, and how long it will take."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from threading import Lock

from .attempts import Attempt
from .plan.study import Run
from .results import result
from .run.protocol import Protocol

TAIL = 15  # lines of a failed run's log


class Progress:
    """Counts runs and prints lines.

    Args:
        protocols: all that the plan asks for.
        workers: how many of ours work at once.
    """

    def __init__(self, protocols: Sequence[Protocol], workers: int) -> None:
        self.protocols = protocols
        self.workers = workers
        self.total = sum(map(runs_of, protocols))
        self.durations: dict[str, list[float]] = {}
        self.failed: list[str] = []
        self._lock = Lock()

    def left(self) -> int:
        """Count what has not ended, whoever works on it."""
        return self.total - sum(map(finished_of, self.protocols))

    def ended(self, run: Run, folder: Path, attempt: Attempt, how: str) -> None:
        """Tell that a run of ours ended."""
        with self._lock:
            if how == "failed":
                self.failed.append(run.key)
                print(failure(run, attempt), flush=True)
            elif how == "diverged":
                print(f"{run.key}: diverged, and counts as a score of 0; its log: {attempt.log}", flush=True)
            elif how == "stopped":
                print(f"{run.key}: stopped; the same command goes on with it", flush=True)
            else:
                print(self._success(run, folder), flush=True)

    def _success(self, run: Run, folder: Path) -> str:
        found = result(folder) or {}
        if found.get("seconds") is not None:
            self.durations.setdefault(run.study.name, []).append(found["seconds"])
        left = self.left()
        what = "test" if run.stage == "final" else "validation"
        took = "" if found.get("seconds") is None else f" after {found['seconds']:.0f} s"
        count = f"[{self.total - left}/{self.total}]"
        return f"{count} {run.key}: {what} {found['score']:.2f}{took}; {left} left, ETA {self._eta()}"

    def _eta(self) -> str:
        """Estimate the time left from each method's mean, or from all methods' where it has not run yet."""
        known = [seconds for each in self.durations.values() for seconds in each]
        if not known:
            return "unknown"
        seconds = 0.0
        for protocol in self.protocols:
            mean = statistics.mean(self.durations.get(protocol.study.name, known))
            seconds += mean * (runs_of(protocol) - finished_of(protocol))
        return str(timedelta(seconds=round(seconds / self.workers)))


def runs_of(protocol: Protocol) -> int:
    """Count the runs of a study: the one that measures importance, its trials, and a final run for each seed."""
    return (protocol.study.importance is not None) + protocol.trials + len(protocol.study.seeds)


def finished_of(protocol: Protocol) -> int:
    """Count those that ended."""
    chosen = protocol.chosen()
    tried = protocol.trials if chosen else len(list(protocol.folder.glob("search/*/result.json")))
    seeds = (protocol.folder / "final" / f"seed={seed}" / "result.json" for seed in protocol.study.seeds)
    whole = protocol.study.importance is not None and (protocol.folder / "whole" / "result.json").is_file()
    return whole + min(tried, protocol.trials) + sum(path.is_file() for path in seeds)


def failure(run: Run, attempt: Attempt) -> str:
    """Describe a failed run by the end of its log."""
    lines = attempt.log.read_text(errors="replace").splitlines()[-TAIL:]
    quoted = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
    return f"{run.key}: FAILED. Its log, {attempt.log}, ends with\n{quoted}\n  The same command tries it again."
