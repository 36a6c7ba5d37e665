"""Lists of all runs of a plan with their states (``--dry-run``), and of all plans. Nothing is started or written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..runs.log import duration
from .plan.reading import read_yaml
from .run.eta import Durations, InProgress, eta
from .run.protocol import Protocol
from .run.states import runs


def plans(known: Mapping[str, Path]) -> str:
    """Return a line for each plan of this package: its name, its first line, and its settings."""
    listed = []
    for name, path in known.items():
        settings = read_yaml(path).get("settings") or ()
        on = f" (--setting {', '.join(settings)})" if settings else ""
        listed.append(f"{name:{max(map(len, known))}}  {path.read_text().splitlines()[0].lstrip('# ')}{on}")
    return "\n".join(listed)


def lines(protocols: Sequence[Protocol]) -> Iterator[str]:
    """Yield a line for each run as soon as its folder is read, and finally the counts of states."""
    counts: Counter[str] = Counter()
    finished, running, waiting, left = Durations(), [], [], 0
    for protocol in protocols:
        waits = Counter(search=0, final=0)
        for run in runs(protocol):
            yield str(run)
            counts[run.state] += 1
            left += not run.done
            if run.state == "running":
                running.append(InProgress(run.study, run.stage, run.position))
            else:
                waits[run.stage] += not run.done
            if run.seconds is not None:
                finished.add(run.study, run.stage, run.seconds)
        waiting.append((protocol.study, waits))
    seconds = eta(waiting, running, finished, len(running)) if running else None
    states = ", ".join(f"{count} {state}" for state, count in counts.items())
    when = "" if seconds is None else f", ETA {duration(seconds)}"
    yield f"{sum(counts.values())} runs: {states}; {left} left{when}"


def in_progress(protocols: Sequence[Protocol]) -> list[str]:
    """List the runs in progress, of any process."""
    return [str(run) for protocol in protocols for run in runs(protocol) if run.state == "running"]
