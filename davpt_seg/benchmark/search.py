"""The search of a study: Optuna says what to try next, and remembers what was tried.

Optuna's journal is a plain file with locks that work on network disks, so any number of workers on any host share a
search, and one that was killed goes on. Folders hold the results; the journal can be made again from them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, Optional, Union

try:
    import optuna
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("benchmarks need optuna: pip install 'davpt-seg[benchmark]'", name="optuna") from error
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock
from optuna.trial import FrozenTrial, TrialState

from .space import Range, Space, Value

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Trial(NamedTuple):
    """Hyper-parameters that are tried or were: number in the order of trying, and score where it is known."""

    number: int
    parameters: dict[str, Value]
    score: Optional[float] = None


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
        storage = JournalStorage(JournalFileBackend(str(self.path)))
        name = f"{self.space.sampler}-{self.space.digest()}"
        return optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)

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

    @contextmanager
    def _lock(self) -> Iterator[None]:
        lock = JournalFileSymlinkLock(str(self.path.with_name("asking")))  # a dead holder's is taken over after 30 s
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        try:
            yield
        finally:
            lock.release()
