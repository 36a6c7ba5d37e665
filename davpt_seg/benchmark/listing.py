"""Lists: of all runs of a plan with their state (``--dry-run``), and of all plans. Nothing is started or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

from ..runs.attempts import last_attempt
from ..runs.log import Position, duration, position
from ..runs.results import result
from .plan.reading import read_yaml
from .plan.study import Run, Study
from .run.eta import Durations, InProgress, eta, stage_of
from .run.protocol import Protocol


def plans(known: Mapping[str, Path]) -> str:
    """Return a line for each plan that comes with us: its name, its settings, what its first line says."""
    told = []
    for name, path in known.items():
        settings = read_yaml(path).get("settings") or ()
        on = f" (--setting {', '.join(settings)})" if settings else ""
        told.append(f"{name:{max(map(len, known))}}  {path.read_text().splitlines()[0].lstrip('# ')}{on}")
    return "\n".join(told)


class Listed(NamedTuple):
    """A run of a plan.

    Args:
        study, stage: of the run.
        what: its description.
        state: ``finished``, ``running``, ``failed``, ``stopped`` or ``to do``.
        result: of a run that ended.
        position: of a run in progress, by its log.
    """

    study: Study
    stage: str
    what: str
    state: str = "to do"
    result: Optional[dict[str, Any]] = None
    position: Optional[Position] = None

    def __str__(self) -> str:
        return f"{self.state:8} {self.what}{f' ({self.position})' if self.position else ''}"


def lines(protocols: Sequence[Protocol]) -> Iterator[str]:
    """Yield a line for each run, as soon as its folder is read, and last the counts of states."""
    counts: Counter[str] = Counter()
    finished, running, waiting, left = Durations(), [], [], 0
    for protocol in protocols:
        waits = Counter(search=0, final=0)
        chosen = protocol.chosen()
        for run in runs(protocol, chosen):
            yield str(run)
            counts[run.state] += 1
            ended = run.state == "finished" or (chosen is not None and run.stage == "search")
            left += not ended
            waits[run.stage] += not ended and run.state != "running"
            if run.state == "running":
                running.append(InProgress(run.study, run.stage, run.position))
            if run.result and run.result.get("seconds") is not None and not run.result.get("diverged"):
                finished.add(run.study, run.stage, run.result["seconds"])
        waiting.append((protocol.study, waits))
    seconds = eta(waiting, running, finished, len(running)) if running else None
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    when = "" if seconds is None else f", ETA {duration(seconds)}"
    yield f"{sum(counts.values())} runs: {states}; {left} left{when}"


def in_progress(protocols: Sequence[Protocol]) -> list[str]:
    """List the runs in progress, whichever process started them."""
    listed = (run for protocol in protocols for run in runs(protocol, protocol.chosen()))
    return [str(run) for run in listed if run.state == "running"]


def runs(protocol: Protocol, chosen: Optional[Mapping[str, Any]]) -> Iterator[Listed]:
    """Yield the runs of a study; each folder is read once.

    Args:
        protocol: of the study.
        chosen: its choice, if there is one.
    """
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
