"""Output while a benchmark runs: a line for each run that ended, the runs in progress, and the time left."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Optional

from ...runs.attempts import Attempt
from ...runs.log import duration, position, tail
from ...runs.results import result
from ..plan.study import Run
from .eta import STAGES, Durations, InProgress, eta, stage_of
from .protocol import Protocol
from .states import runs

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live

LINES = 15  # of a failed run's log
TICK = 2.0  # seconds between two looks at the logs
EVERY = 300.0  # seconds between two reports where there is no terminal


class _Started(NamedTuple):
    run: Run
    folder: Path
    at: float


class Progress:
    """Counter of runs that prints their progress.

    As a context, it also reports the runs in progress: on a terminal in lines that are redrawn below all others,
    elsewhere every five minutes. Its methods may be called from any thread.

    Args:
        protocols: protocols of all studies.
        workers: number of runs at a time.
        console: terminal; by default standard output, if it is one.
    """

    def __init__(self, protocols: Sequence[Protocol], workers: int, console: Optional[Console] = None) -> None:
        self.workers = workers
        self.total = 0
        self.failed: list[str] = []
        self._studies = [protocol.study for protocol in protocols]
        self._durations = Durations()
        self._left: dict[str, Counter[str]] = {}
        for protocol in protocols:
            left = self._left[protocol.study.key] = Counter(dict.fromkeys(STAGES, 0))
            for run in runs(protocol):
                self.total += 1
                left[run.stage] += not run.done
                if run.seconds is not None:
                    self._durations.add(run.study, run.stage, run.seconds)
        self._failed: Counter[tuple[str, str]] = Counter()
        self._running: dict[str, _Started] = {}
        self._lock = Lock()
        self._console = console
        self._live: Optional[Live] = None
        self._closed = Event()
        self._ticking = Thread(target=self._tick, daemon=True)
        self._reported = time.monotonic()

    def __enter__(self) -> Progress:
        if self._console is None and sys.stdout.isatty():
            from rich.console import Console  # a tenth of a second

            self._console = Console()
        if self._console is not None and self._console.is_interactive:
            from rich.live import Live

            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._ticking.start()
        return self

    def __exit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        self._closed.set()
        self._ticking.join()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def left(self) -> int:
        """Count the runs that have not ended."""
        return sum(sum(left.values()) for left in self._left.values())

    def started(self, run: Run, folder: Path) -> None:
        """Record a run that starts.

        Args:
            run: run of a study.
            folder: folder of the run, whose log is read while it is in progress.
        """
        with self._lock:
            self._running[run.key] = _Started(run, folder, time.monotonic())

    def ended(self, run: Run, folder: Path, attempt: Attempt, how: str) -> None:
        """Print how a run ended: ``finished``, ``failed``, ``stopped`` or ``diverged``."""
        with self._lock:
            self._running.pop(run.key, None)
            if how in ("finished", "diverged"):
                self._left[run.study.key][stage_of(run)] -= 1
            if how == "failed":
                self.failed.append(run.key)
                self._failed[run.study.key, stage_of(run)] += 1
                self._print(failure(run, attempt))
            elif how == "diverged":
                self._print(f"{run.key}: diverged, and counts as a score of 0; its log: {attempt.log}")
            elif how == "stopped":
                self._print(f"{run.key}: stopped; the same command resumes it")
            else:
                self._print(self._success(run, folder))
            self._draw()

    def refresh(self) -> None:
        """Read the logs of the runs in progress, and redraw the terminal, or report if it is time."""
        with self._lock:
            self._draw()
            if self._live is None and time.monotonic() - self._reported >= EVERY:
                self._reported = time.monotonic()
                self._print("\n".join(self._in_progress()))

    def _draw(self) -> None:
        if self._live is not None:
            from rich.text import Text

            lines = self._in_progress(self._live.console.height)
            self._live.update(Text("\n".join(lines), no_wrap=True, overflow="ellipsis"), refresh=True)

    def _tick(self) -> None:
        while not self._closed.wait(TICK):
            self.refresh()

    def _print(self, text: str) -> None:
        if self._live is None:
            print(text, flush=True)
        else:
            self._live.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _success(self, run: Run, folder: Path) -> str:
        found = result(folder) or {}
        seconds = found.get("seconds")
        if seconds is not None:
            self._durations.add(run.study, stage_of(run), seconds)
        what = "test" if run.stage == "final" else "validation"
        took = "" if seconds is None else f" after {seconds:.0f} s"
        left = self.left()
        count = f"[{self.total - left}/{self.total}]"
        return f"{count} {run.key}: {what} {found['score']:.2f}{took}; {left} left, ETA {self._eta(self._look())}"

    def _look(self) -> dict[str, InProgress]:
        now = time.monotonic()
        return {
            key: InProgress(each.run.study, stage_of(each.run), position(each.folder), now - each.at)
            for key, each in self._running.items()
        }

    def _in_progress(self, height: Optional[int] = None) -> list[str]:
        """List the runs in progress that fit on a terminal, and a summary."""
        runs = self._look()
        lines = [f"{key}: {run.position or 'running'}" for key, run in runs.items()]
        if height is not None and len(lines) > height - 2:
            lines = [*lines[: max(height - 3, 0)], f"and {len(lines) - max(height - 3, 0)} more"]
        left = self.left()
        failed = f"{len(self.failed)} failed, " if self.failed else ""
        return [
            *lines,
            f"[{self.total - left}/{self.total}] {len(runs)} in progress; {failed}{left} left, ETA {self._eta(runs)}",
        ]

    def _eta(self, runs: dict[str, InProgress]) -> str:
        """Estimate the time until the last run ends; a study with a failed trial starts no final run."""
        busy = Counter((run.study.key, run.stage) for run in runs.values())
        waiting = []
        for study in self._studies:
            counts = {
                stage: max(0, self._left[study.key][stage] - busy[study.key, stage] - self._failed[study.key, stage])
                for stage in STAGES
            }
            if self._failed[study.key, "search"]:
                counts["final"] = 0
            waiting.append((study, counts))
        seconds = eta(waiting, list(runs.values()), self._durations, self.workers)
        return "unknown" if seconds is None else duration(seconds)


def failure(run: Run, attempt: Attempt) -> str:
    """Describe a failed run by the end of its log."""
    lines = tail(attempt.log).splitlines()[-LINES:] if attempt.log.is_file() else []
    quoted = "\n".join(f"    {line}" for line in lines) or "    (nothing)"
    return f"{run.key}: FAILED. Its log, {attempt.log}, ends with\n{quoted}\n  The same command tries it again."
