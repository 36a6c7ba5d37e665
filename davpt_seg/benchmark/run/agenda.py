"""Order of the runs of all studies; a command starts each run at most once."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Callable, NamedTuple, Optional
from typing import Protocol as Interface

from ...runs.attempts import Attempt, next_attempt
from ...runs.results import result
from ...runs.training import Launch, Training, check_same
from ..plan.study import Run
from ..plan.tasks import score_of_task
from .progress import Progress
from .protocol import Protocol

KEEP = ("first", "all", "none")  # final runs whose checkpoints are kept; "first" is the first seed's


class Job(NamedTuple):
    """Run in progress.

    Args:
        run: run of a study.
        training: training process of the run.
        folder: folder of the run in the work dir.
        attempt: current attempt at the run.
    """

    run: Run
    training: Training
    folder: Path
    attempt: Attempt


class Engine(Interface):
    """Interface of engines: slots of this machine, or a cluster."""

    def check(self, function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Call a check where runs train; it may raise an InputError."""

    def capacity(self) -> int:
        """Return how many runs fit at a time."""

    @property
    def running(self) -> Sequence[Job]:
        """Return the runs in progress."""

    def free(self) -> bool:
        """Return whether another run can start."""

    def start(self, job: Job, launch: Launch) -> None:
        """Start a run."""

    def wait(self) -> Iterable[tuple[Job, str]]:
        """Wait for runs to end, and return how they ended; after a while, perhaps none."""

    def stop(self) -> Iterable[tuple[Job, str]]:
        """End all runs gracefully, and return how they ended."""

    def close(self) -> None:
        """Release resources, after all runs have ended."""


class Agenda:
    """Runs that are left to do.

    Args:
        protocols: protocols of all studies, in the order of running.
        keep: one of :data:`KEEP`.
        slots: number of runs at a time, to estimate the time left.
    """

    def __init__(self, protocols: Sequence[Protocol], keep: str, slots: int) -> None:
        self.progress = Progress(protocols, slots)
        self.protocols = protocols
        self._open = list(protocols)
        self._keep = keep
        self._running: set[str] = set()
        self._failed: set[str] = set()

    def next(self) -> Optional[Job]:
        """Begin the next run; None if others must end first, or nothing is left.

        Raises:
            InputError: the run's folder belongs to another run.
        """
        for protocol in list(self._open):
            for run in protocol.next_runs():
                if run.key not in self._running | self._failed and result(protocol.root / run.key) is None:
                    return self._begin(run, protocol.root / run.key)
            if not any(key.startswith(f"{protocol.study.key}/") for key in self._running):
                self._open.remove(protocol)  # it is finished, or what failed stops it
        return None

    def ended(self, job: Job, how: str) -> None:
        """Record and report how a run ended."""
        self._running.remove(job.run.key)
        if how == "failed":
            self._failed.add(job.run.key)
        self.progress.ended(job.run, job.folder, job.attempt, how)

    def _begin(self, run: Run, folder: Path) -> Job:
        training = training_of(run, self._keep)
        check_same(training.definition, folder)
        self._running.add(run.key)
        self.progress.started(run, folder)
        return Job(run, training, folder, next_attempt(folder))


def training_of(run: Run, keep: str) -> Training:
    """Return a run as a training.

    Args:
        run: run of a study.
        keep: one of :data:`KEEP`.
    """
    final, metric = run.stage == "final", score_of_task(run.study.task)
    measure = ["--importance"] if run.stage == "whole" else []
    amp = ["--amp"] if run.study.amp else []
    return Training(
        key=run.key,
        words=run.words(),
        options=(*measure, *amp, "--cfg-options", *run.options()),
        seed=run.seed,
        stage=run.stage,
        metric=metric.key,
        to_percent=metric.to_percent,
        definition=run.definition(),
        files=("importance.json",) if measure else (),
        keep=final and (keep == "all" or (keep == "first" and run.seed == run.study.seeds[0])),
    )


def work(agenda: Agenda, engine: Engine, launch: Launch) -> list[str]:
    """Run everything that can be run.

    Args:
        agenda: runs that are left.
        engine: place of the runs.
        launch: way to start trainings.

    Returns:
        The runs that failed.

    Raises:
        KeyboardInterrupt: the command was interrupted or terminated, or its terminal closed. Its trainings have been
            ended, and the same command resumes them.
    """
    with _signals_interrupt(), agenda.progress:
        try:
            while True:
                while engine.free() and (job := agenda.next()) is not None:
                    engine.start(job, launch)
                if not engine.running:
                    return agenda.progress.failed
                for job, how in engine.wait():
                    agenda.ended(job, how)
        except BaseException:
            for job, how in engine.stop():
                agenda.ended(job, how)
            raise


@contextmanager
def _signals_interrupt() -> Iterator[None]:
    """Treat the first SIGTERM or SIGHUP as Ctrl-C; ignored signals (nohup) stay ignored."""

    def interrupt(signal_number: int, frame: Optional[FrameType]) -> None:
        for sign in previous:
            signal.signal(sign, signal.SIG_IGN)  # trainings are ended now, and their attempts recorded
        raise KeyboardInterrupt

    ends = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    previous = {sign: found for sign in ends if (found := signal.getsignal(sign)) != signal.SIG_IGN}
    try:
        for sign in previous:
            signal.signal(sign, interrupt)
        yield
    finally:
        for sign, handler in previous.items():
            signal.signal(sign, handler)
