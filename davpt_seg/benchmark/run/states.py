"""Runs of a study, with their states by folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ...runs.attempts import last_attempt
from ...runs.log import Position, position
from ...runs.results import result
from ..plan.study import Run, Study
from .eta import stage_of
from .protocol import Protocol


class Listed(NamedTuple):
    """Run of a plan.

    Args:
        study, stage: study and stage of the run.
        what: description of the run.
        state: ``finished``, ``running``, ``failed``, ``stopped`` or ``to do``.
        result: result of a run that ended.
        position: progress of a running run, from its log.
        chosen: whether the study has chosen.
    """

    study: Study
    stage: str
    what: str
    state: str = "to do"
    result: Optional[dict[str, Any]] = None
    position: Optional[Position] = None
    chosen: bool = False

    @property
    def done(self) -> bool:
        """Return whether the run needs no more work; a trial needs none after the choice."""
        return self.state == "finished" or (self.chosen and self.stage == "search")

    @property
    def seconds(self) -> Optional[float]:
        """Return the run's duration; None if it is unknown, or if the run diverged."""
        return None if self.result is None or self.result.get("diverged") else self.result.get("seconds")

    def __str__(self) -> str:
        return f"{self.state:8} {self.what}{f' ({self.position})' if self.position else ''}"


def runs(protocol: Protocol) -> Iterator[Listed]:
    """Yield the runs of a study; each folder is read when its run is yielded."""
    chosen = protocol.chosen()
    return (run._replace(chosen=chosen is not None) for run in _runs(protocol, chosen))


def _runs(protocol: Protocol, chosen: Optional[dict[str, Any]]) -> Iterator[Listed]:
    study = protocol.study
    if study.importance is not None:
        yield _listed(protocol, study.whole_run())
    if study.space.sampler == "grid" and protocol.trials:
        for point in study.space.points():
            yield _listed(protocol, study.search_run(point))
    elif protocol.trials:
        tried = sorted(path.parent for path in protocol.folder.glob("search/*/run.json"))
        for folder in tried:
            yield _read(Listed(study, "search", folder.relative_to(protocol.root).as_posix()), folder)
        for _ in range(protocol.trials - len(tried)):
            yield Listed(study, "search", f"{study.key}/search/ (what {study.space.sampler} asks for next)")
    for seed in study.seeds:
        if chosen is None:
            yield Listed(study, "final", f"{study.key}/final/seed={seed} (after the choice)")
        else:
            yield _listed(protocol, study.final_run(chosen["parameters"], seed))


def _listed(protocol: Protocol, run: Run) -> Listed:
    what = f"{run.key}: {run.words()} {' '.join(run.options())}"
    return _read(Listed(run.study, stage_of(run), what), protocol.root / run.key)


def _read(run: Listed, folder: Path) -> Listed:
    found = result(folder)
    if found is not None:
        return run._replace(state="finished", result=found)
    last = last_attempt(folder)
    state = "to do" if last is None else last.state()
    return run._replace(state=state, position=position(folder) if state == "running" else None)
