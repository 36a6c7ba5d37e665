"""Lists: of all runs of a plan with their state (``--dry-run``), and of all plans. Nothing is started or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .attempts import last_attempt
from .plan.reading import read_yaml
from .plan.study import Run
from .progress import finished_of, runs_of
from .results import result
from .run.protocol import Protocol


def plans(known: Mapping[str, Path]) -> str:
    """Return a line for each plan that comes with us: its name, its settings, what its first line says."""
    told = []
    for name, path in known.items():
        settings = read_yaml(path).get("settings") or ()
        on = f" (--setting {', '.join(settings)})" if settings else ""
        told.append(f"{name:{max(map(len, known))}}  {path.read_text().splitlines()[0].lstrip('# ')}{on}")
    return "\n".join(told)


def state(folder: Path) -> str:
    """Return a run's state: ``finished``, ``running``, ``failed``, ``stopped``, or ``to do``."""
    if result(folder) is not None:
        return "finished"
    last = last_attempt(folder)
    return "to do" if last is None else last.state()


def lines(protocol: Protocol) -> Iterator[tuple[str, str]]:
    """Yield state and description of each run of a study."""
    study, chosen = protocol.study, protocol.chosen()
    if study.importance is not None:
        yield _line(protocol, study.whole_run())
    if study.space.sampler == "grid" and protocol.trials:
        for point in study.space.points():
            yield _line(protocol, study.search_run(point))
    elif protocol.trials:
        tried = sorted(path.parent for path in protocol.folder.glob("search/*/run.json"))
        for folder in tried:
            yield state(folder), folder.relative_to(protocol.root).as_posix()
        for _ in range(protocol.trials - len(tried)):
            yield "to do", f"{study.key}/search/ (what {study.space.sampler} asks for next)"
    for seed in study.seeds:
        if chosen is None:
            yield "to do", f"{study.key}/final/seed={seed} (after the choice)"
        else:
            yield _line(protocol, study.final_run(chosen["parameters"], seed))


def _line(protocol: Protocol, run: Run) -> tuple[str, str]:
    options = " ".join(run.options())
    return state(protocol.root / run.key), f"{run.key}: {run.words()} {options}"


def text(protocols: Sequence[Protocol]) -> str:
    """Return a line for each run, and the counts of states."""
    found = [line for protocol in protocols for line in lines(protocol)]
    counts = Counter(state for state, _ in found)
    left = sum(runs_of(protocol) - finished_of(protocol) for protocol in protocols)
    told = ", ".join(f"{count} {state}" for state, count in counts.items())
    return "\n".join([*(f"{state:8} {what}" for state, what in found), f"{len(found)} runs: {told}; {left} left"])
