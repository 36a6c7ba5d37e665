"""Search of a study by Optuna's TPE, which suggests the next trial and keeps a journal of trials.

A stopped search continues as if it had not been stopped: a trial's draw depends only on the trials before it.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Union

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from ...errors import InputError
from ..plan.space import Range, Space, Trial

optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """Trials of one study.

    Args:
        folder: folder of the study; the journal ``optuna.journal`` is in it.
        space: search space. Another space is another study in the same journal.
        seed: seed of the sampler.
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
        study = optuna.create_study(storage=storage, study_name=name, direction="maximize", load_if_exists=True)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.params.keys() != self.space.axes.keys():  # the command was killed while it drew them
                study.tell(trial.number, state=TrialState.FAIL)
        return study

    def _check_journal(self) -> None:
        """Check that the journal is complete; Optuna's error names no file, and it would append to an incomplete line.

        Raises:
            InputError: the journal is incomplete, for instance because the disk was full.
        """
        try:
            *lines, rest = self.path.read_text().split("\n") if self.path.exists() else [""]
            entries = map(json.loads, lines)
            complete = not rest and all(isinstance(entry, dict) and "op_code" in entry for entry in entries)
        except ValueError:
            complete = False
        if not complete:
            raise InputError(
                f"{self.path} is damaged. Stop the command that works in this work dir, remove that file, and run the "
                "command again: trials that ended are read from their folders"
            )

    def trials(self) -> list[Trial]:
        """List the trials in the order of trying; those that have not ended have no score."""
        states = (TrialState.RUNNING, TrialState.COMPLETE)
        return [self._named(trial) for trial in self._study.get_trials(deepcopy=False, states=states)]

    def ask(self) -> Trial:
        """Begin another trial."""
        seed = (1000 * self.seed + len(self.trials())) % 2**32
        self._study.sampler = optuna.samplers.TPESampler(seed=seed, constant_liar=True)
        return self._named(self._study.ask(self._distributions()))

    def tell(self, trial: Trial, score: float) -> None:
        """Give a trial its score; a second one changes nothing."""
        self._study.tell(trial.number, score, skip_if_finished=True)

    def _named(self, trial: Union[optuna.Trial, FrozenTrial]) -> Trial:
        """Return a trial with parameters in the order of the space, which folder names have."""
        parameters = {name: trial.params[name] for name in self.space.axes}
        return Trial(trial.number, parameters, trial.value if isinstance(trial, FrozenTrial) else None)

    def _distributions(self) -> dict[str, BaseDistribution]:
        return {
            name: FloatDistribution(axis.low, axis.high, log=axis.log)
            if isinstance(axis, Range)
            else CategoricalDistribution(axis)
            for name, axis in self.space.axes.items()
        }
