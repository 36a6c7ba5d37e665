"""Workers: each takes the next run that nobody has, until none is left."""

from __future__ import annotations

import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event, Lock
from types import FrameType
from typing import NamedTuple, Optional

from .attempts import Attempt, claim, last_attempt
from .execution import Launch, execute
from .plan.study import Run
from .progress import Progress, finished_of, runs_of
from .results import result
from .run.protocol import Protocol

POLL = 2.0  # seconds between two looks for work while others' runs must end first


class Job(NamedTuple):
    """A run that we have claimed."""

    run: Run
    folder: Path
    attempt: Attempt


class Pool:
    """Workers of this process, a thread each, which mostly waits for its training.

    Args:
        protocols: of all studies, in the order in which they are run.
        launch: how trainings are started.
        slots: environment variables of each worker.
    """

    def __init__(self, protocols: Sequence[Protocol], launch: Launch, slots: Sequence[Mapping[str, str]]) -> None:
        self.active = list(protocols)
        self.launch = launch
        self.slots = slots
        self.progress = Progress(protocols, len(slots))
        self.stopping = Event()
        self._lock = Lock()

    def run(self) -> list[str]:
        """Work until nothing is left to do.

        Returns:
            The runs that failed.

        Raises:
            KeyboardInterrupt: it was interrupted or terminated, or its terminal closed; trainings have been ended, and
                can be gone on with.
        """
        # As for Ctrl-C; a closed terminal's sign is left alone where nohup has it ignored.
        ends = [sign for sign in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(sign) != signal.SIG_IGN]
        previous = {sign: signal.signal(sign, _interrupt) for sign in ends}
        try:
            with self.progress, ThreadPoolExecutor(len(self.slots)) as threads:
                try:
                    for future in as_completed([threads.submit(self._work, slot) for slot in self.slots]):
                        future.result()
                except BaseException:
                    self.stopping.set()  # before the threads are waited for
                    raise
        finally:
            for sign, handler in previous.items():
                signal.signal(sign, handler)
        return self.progress.failed

    def _work(self, slot: Mapping[str, str]) -> None:
        while not self.stopping.is_set():
            with self._lock:
                job, wait = self._next()
            if job is not None:
                self.progress.started(job.run, job.folder)
                try:
                    how = execute(job.run, job.folder, job.attempt, self.launch, slot, self.stopping)
                except BaseException:  # the claim of a worker that gives up is nobody's
                    job.attempt.end("stopped")
                    raise
                self.progress.ended(*job, how)
            elif wait:
                self.stopping.wait(POLL)
            else:
                return

    def _next(self) -> tuple[Optional[Job], bool]:
        """Claim the next run; or say whether it is worth waiting, since runs that go on may make others possible."""
        self.active = [protocol for protocol in self.active if finished_of(protocol) < runs_of(protocol)]
        wait = False
        for protocol in self.active:
            for run in protocol.next_runs():
                folder = protocol.root / run.key
                if result(folder) is not None:
                    wait |= run.stage != "final"  # it ended just now: look again, and choose
                    continue
                attempt = claim(folder, self.launch.session)
                if attempt is not None:
                    return Job(run, folder, attempt), False
                last = last_attempt(folder)
                wait |= last is not None and last.state() == "running"
        return None, wait


def _interrupt(signal_number: int, frame: Optional[FrameType]) -> None:
    raise KeyboardInterrupt
