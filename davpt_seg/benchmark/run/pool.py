"""Runs on this machine: one at a time in each slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from threading import Event
from typing import Any, Callable

from ...runs.execution import execute
from ...runs.training import Launch
from .agenda import Job


class Pool:
    """Slots of this machine, with a thread for each, which mostly waits for its training.

    Args:
        slots: environment variables of each slot.
    """

    def __init__(self, slots: Sequence[Mapping[str, str]]) -> None:
        self._slots = list(slots)
        self._threads = ThreadPoolExecutor(len(slots))
        self._stopping = Event()
        self._futures: dict[Future[str], tuple[Job, Mapping[str, str]]] = {}

    def check(self, function: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """Call a check, which may raise an InputError."""
        function(*args, **kwargs)

    def capacity(self) -> int:
        """Count the slots, before the first run."""
        return len(self._slots)

    @property
    def running(self) -> Sequence[Job]:
        """Return the runs in progress."""
        return [job for job, _ in self._futures.values()]

    def free(self) -> bool:
        """Return whether another run can start."""
        return bool(self._slots)

    def start(self, job: Job, launch: Launch) -> None:
        """Start a run in the slot that has been free for longest."""
        slot = self._slots.pop(0)
        asked = self._stopping.is_set
        future = self._threads.submit(execute, job.training, job.folder, job.attempt, launch, slot, asked)
        self._futures[future] = job, slot

    def wait(self) -> Iterator[tuple[Job, str]]:
        """Wait until runs end, and yield how.

        Raises:
            InputError: a run's folder, or its scores, belong to another run.
        """
        done, _ = wait(self._futures, return_when=FIRST_COMPLETED)
        for future in done:
            job, slot = self._futures.pop(future)
            self._slots.append(slot)
            yield job, future.result()

    def stop(self) -> Iterator[tuple[Job, str]]:
        """End all runs gracefully, and yield how they ended."""
        self._stopping.set()
        wait(self._futures)
        yield from self.wait()

    def close(self) -> None:
        """Release the threads, after their runs have ended."""
        self._threads.shutdown()
