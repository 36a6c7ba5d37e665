"""Time that the remaining runs take: estimates from similar runs, and a schedule."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Optional

from ...runs.log import Position
from ..plan.study import Run, Study

STAGES = ("search", "final")


def stage_of(run: Run) -> str:
    """Return the stage of a run; the run that measures importance belongs to the search."""
    return "final" if run.stage == "final" else "search"


class Durations:
    """Mean seconds of runs, by group."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, ...], list[float]] = defaultdict(lambda: [0.0, 0.0])

    def add(self, study: Study, stage: str, seconds: float) -> None:
        """Count a run."""
        for group in _groups(study, stage):
            self._sums[group][0] += seconds
            self._sums[group][1] += 1

    def mean(self, group: tuple[str, ...]) -> Optional[float]:
        """Return the mean of a group; None if it is empty."""
        seconds, count = self._sums.get(group, (0.0, 0.0))
        return seconds / count if count else None


class InProgress(NamedTuple):
    """Run in progress.

    Args:
        study, stage: study and stage of the run.
        position: position from its log; None before its first step.
        elapsed: seconds since it began.
    """

    study: Study
    stage: str
    position: Optional[Position]
    elapsed: float = 0.0


class Stage(NamedTuple):
    """Runs of one stage of a study: seconds left of those in progress, number of waiting ones, seconds of each."""

    running: tuple[float, ...] = ()
    waiting: int = 0
    seconds: float = 0.0


def eta(
    waiting: Sequence[tuple[Study, Mapping[str, int]]],
    running: Sequence[InProgress],
    finished: Durations,
    workers: int,
) -> Optional[float]:
    """Estimate the seconds until all runs have ended.

    A run takes as long as others of its study and stage; else of its study, of its method, or of all. Runs that
    finished count or, in a group without any, those in progress, by their logs.

    Args:
        waiting: number of runs by study and stage, zeros included, in the order of running.
        running: runs in progress.
        finished: durations of runs that ended.
        workers: number of runs at a time.

    Returns:
        The seconds; None as long as nothing is known.
    """
    logged = Durations()
    for run in running:
        if run.position is not None and run.position.total is not None:
            logged.add(run.study, run.stage, run.position.total)
    by_study: dict[tuple[str, str], list[float]] = defaultdict(list)
    for run in running:
        seconds = _seconds_left(run, finished, logged)
        if seconds is None:
            return None
        by_study[run.study.key, run.stage].append(seconds)
    studies = []
    for study, counts in waiting:
        stages = []
        for stage in STAGES:
            seconds = _estimate(study, stage, finished, logged)
            if seconds is None and counts[stage]:
                return None
            stages.append(Stage(tuple(by_study[study.key, stage]), counts[stage], seconds or 0.0))
        studies.append((stages[0], stages[1]))
    return schedule(studies, workers)


def schedule(studies: Sequence[tuple[Stage, Stage]], workers: int) -> float:
    """Return when the last run ends if a free worker always takes the first run that may start.

    Args:
        studies: search and final runs of each study, in order. Final runs start when the study's search is over.
        workers: number of runs at a time; those in progress have one each.
    """
    running = [seconds for stages in studies for stage in stages for seconds in stage.running]
    free = sorted([*running, *[0.0] * max(0 if running else 1, workers - len(running))])
    last = max(running, default=0.0)
    left = [_Left(search, final, max(search.running, default=0.0)) for search, final in studies]
    left = [each for each in left if each.trials or each.finals]
    while left:
        now = heapq.heappop(free)
        study = next((each for each in left if each.trials or each.searched <= now), None)
        if study is None:
            heapq.heappush(free, min(each.searched for each in left))
            continue
        end = study.take(now)
        if not (study.trials or study.finals):
            left.remove(study)
        heapq.heappush(free, end)
        last = max(last, end)
    return last


@dataclass(eq=False)
class _Left:
    """Waiting runs of a study, and the end of its search."""

    search: Stage
    final: Stage
    searched: float

    def __post_init__(self) -> None:
        self.trials, self.finals = self.search.waiting, self.final.waiting

    def take(self, now: float) -> float:
        """Start the next run, and return when it ends."""
        if not self.trials:
            self.finals -= 1
            return now + self.final.seconds
        self.trials -= 1
        self.searched = max(self.searched, now + self.search.seconds)
        return now + self.search.seconds


def _groups(study: Study, stage: str) -> Iterator[tuple[str, ...]]:
    """Yield the groups of a run, the most similar first."""
    yield study.key, stage
    yield (study.key,)
    yield ("method", study.name)
    yield ()


def _estimate(study: Study, stage: str, *sources: Durations) -> Optional[float]:
    means = (source.mean(group) for group in _groups(study, stage) for source in sources)
    return next((mean for mean in means if mean is not None), None)


def _seconds_left(run: InProgress, finished: Durations, logged: Durations) -> Optional[float]:
    if run.position is not None and run.position.eta is not None:
        return run.position.eta
    seconds = _estimate(run.study, run.stage, finished, logged)
    return None if seconds is None else max(0.0, seconds - run.elapsed)
