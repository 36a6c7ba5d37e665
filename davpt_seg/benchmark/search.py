"""The search of a study: Optuna says what to try next, and remembers what was tried.

Optuna's journal is a plain file with locks that work on network disks, so any number of workers on any host share a
search, and one that was killed goes on. Folders hold the results; the journal can be made again from them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Optional, Union

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from ..errors import InputError
from .space import Range, Space, Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """The trials of one study.

    Args:
        folder: of the study; holds ``optuna.journal``.
        space: what is searched. Another space is another study in the same journal.
        seed: of Optuna's sampler.
    """

    def __init__(self, folder: Path, space: Space, seed: int) -> None:
        self.path = folder / "optuna.journal"
        self.space = space
        self.seed = seed

    @cached_property
    def _study(self) -> optuna.Study:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._check_journal()
        storage = JournalStorage(JournalFileBackend(str(self.path)))
        name = f"{self.space.sampler}-{self.space.digest()}"
        return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)

    def _check_journal(self) -> None:
        """See that the journal is whole; Optuna's own error names no file, and it would write on after a line cut off.

        Raises:
            InputError: it is not, for instance since the disk was full.
        """
        with _held(JournalFileSymlinkLock(str(self.path))):  # Optuna's own: nobody is in the middle of a line
            lines = self.path.read_text().split("\n") if self.path.is_file() else [""]
        try:
            for line in lines[:-1]:
                json.loads(line)
            whole = lines[-1] == ""
        except json.JSONDecodeError:
            whole = False
        if not whole:
            raise InputError(
                f"{self.path} is damaged. Stop whoever works in this work dir, remove that file, and run the same "
                "command again: trials that ended are read from their folders"
            )

    def open_trials(self) -> list[Trial]:
        """List what was asked for and has no score yet, whoever works on it."""
        return [self._named(trial) for trial in self._trials() if trial.state == TrialState.RUNNING]

    def scored(self) -> list[Trial]:
        """List the trials with their scores, in the order of trying, which for a grid is the grid's."""
        trials = [trial for trial in self._trials() if trial.state == TrialState.COMPLETE]
        return [self._named(trial) for trial in trials]

    def ask(self) -> Optional[Trial]:
        """Return what to try next; None where all trials were handed out.

        A grid's points go through Optuna's queue of trials, in order: its ``GridSampler`` shuffles them, and with
        several workers tries some twice.
        """
        with self._lock():
            self._drop_unfinished_asks()
            trials = self._trials()
            if len(trials) >= self.space.count:
                return None
            if self.space.sampler == "grid":
                self._study.enqueue_trial(self.space.points()[len(trials)])
            else:  # a seed of each trial's own, so that a search that was stopped goes on as it would have
                seed = 1000 * self.seed + len(trials)
                self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
            return self._named(self._study.ask(self._distributions()))

    def tell(self, trial: Trial, score: float) -> None:
        """Give a trial its score; who comes second changes nothing."""
        # Another worker may finish it between Optuna's look at it and our write.
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._study.tell(trial.number, score, skip_if_finished=True)

    def _named(self, trial: Union[optuna.Trial, FrozenTrial]) -> Trial:
        """Put parameters into the order of the space, which names folders."""
        parameters = {name: trial.params[name] for name in self.space.axes}
        return Trial(trial.number, parameters, trial.value if isinstance(trial, FrozenTrial) else None)

    def _trials(self) -> list[FrozenTrial]:
        """All trials that count: not those of a worker that died between asking and being answered."""
        trials = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.COMPLETE))
        return [trial for trial in trials if trial.params.keys() == self.space.axes.keys()]

    def _drop_unfinished_asks(self) -> None:
        """Close trials without all their parameters. We hold the lock, so whoever asked for them is dead."""
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING)):
            if trial.params.keys() != self.space.axes.keys():
                waiting = trial.state == TrialState.WAITING
                self._study.tell(self._study.ask() if waiting else trial.number, state=TrialState.FAIL)

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {
            name: FloatDistribution(axis.low, axis.high, log=axis.log)
            if isinstance(axis, Range)
            else CategoricalDistribution(axis)
            for name, axis in self.space.axes.items()
        }

    def _lock(self) -> AbstractContextManager[None]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return _held(JournalFileSymlinkLock(str(self.path.with_name("asking"))))


@contextmanager
def _held(lock: JournalFileSymlinkLock) -> Iterator[None]:
    """Hold a lock; a dead holder's is taken over after 30 s."""
    lock.acquire()
    try:
        yield
    finally:
        lock.release()
