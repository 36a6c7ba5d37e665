"""The protocol: hyper-parameters are chosen on validation images and written down before a test image is seen.

- A run of the search is ``split=choose``, whose validation and test images are the validation split.
- ``chosen.json`` is written when the search is over, and no final run starts before.
- A final run that ended is never run again, and a study whose final runs have begun can't be changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..errors import InputError
from .files import create_json, read_json, write_json
from .results import result
from .space import Parameters, Trial
from .study import Run, Study, check_same

if TYPE_CHECKING:
    from .search import Search


class Protocol:
    """What may be run next in a study.

    Args:
        study: of the plan.
        root: the work dir of all studies.
    """

    def __init__(self, study: Study, root: Path) -> None:
        self.study = study
        self.root = root
        self.folder = root / study.key

    @property
    def trials(self) -> int:
        """How many runs its search takes."""
        return self.study.space.count if self.study.space.axes else 0

    @cached_property
    def search(self) -> Search:
        """Its search."""
        from .search import Search  # needs Optuna, and check_plan is to say so first

        return Search(self.folder, self.study.space, self.study.search_seed)

    def check(self) -> None:
        """See whether the plan, and the choice, still are those that the work dir's runs were made for.

        Raises:
            InputError: they changed after final runs began, or the plan in something that finished trials depend on.
        """
        self._check_plan()
        chosen = self.chosen()
        if chosen is not None:
            for run in self.final_runs(chosen["parameters"]):
                check_same(run, self.root / run.key)

    def _check_plan(self) -> None:
        old, new = read_json(self.folder / "study.json"), self.study.definition()
        if old is None or old == new:
            return
        changed = [key for key in new if old.get(key) != new[key]]
        told = "; ".join(f"{key} was {old.get(key)} and is {new[key]}" for key in changed)
        advice = "Give another --work-dir to the changed plan, or take the change back"
        if any(self.folder.glob("final/*/attempts/*")):
            raise InputError(
                f"{self.study.key}: the plan changed after its final runs had begun, which would be choosing on test "
                f"images: {told}. {advice}"
            )
        if changed != ["search"] and any(self.folder.glob("search/*/attempts/*")):
            raise InputError(
                f"{self.study.key}: the plan changed, and trials were run for the old one: {told}. {advice}"
            )

    def register(self) -> None:
        """Write down what the study is; a choice that was made for another search, and not used yet, is forgotten."""
        self.check()
        if read_json(self.folder / "study.json") != self.study.definition():
            (self.folder / "chosen.json").unlink(missing_ok=True)
            write_json(self.folder / "study.json", self.study.definition())

    def chosen(self) -> Optional[dict[str, Any]]:
        """Return what was chosen: ``parameters``, their ``score``, and all ``trials``; None before."""
        return read_json(self.folder / "chosen.json")

    def next_runs(self) -> Iterator[Run]:
        """Yield the runs that may be started now, in order; whoever asks on wants a run that nobody else has."""
        chosen = self.chosen() or self._choose()
        if chosen is not None:
            yield from self.final_runs(chosen["parameters"])
            return
        for trial in self.search.open_trials():
            yield self.study.search_run(trial.parameters)
        while (asked := self.search.ask()) is not None:
            yield self.study.search_run(asked.parameters)

    def final_runs(self, parameters: Parameters) -> list[Run]:
        """List the runs that are reported."""
        return [self.study.final_run(parameters, seed) for seed in self.study.seeds]

    def hopeless(self) -> bool:
        """Return whether every trial has ended and none scored more than 0, so that nothing can be chosen."""
        if not self.study.space.axes or self.chosen() is not None:
            return False
        trials = self.search.scored()
        return len(trials) == self.trials and not any(trial.score for trial in trials)

    def _choose(self) -> Optional[dict[str, Any]]:
        """Choose when every trial has its score; None as long as one has not, or where none scored more than 0."""
        if not self.study.space.axes:
            trials: list[Trial] = []
        else:
            for trial in self.search.open_trials():
                found = result(self.root / self.study.search_run(trial.parameters).key)
                if found is not None:
                    self.search.tell(trial, found["score"])
            trials = self.search.scored()
            if len(trials) < self.trials or not any(trial.score for trial in trials):
                return None
        create_json(self.folder / "chosen.json", choice(trials))  # or another worker has just done it, with the same
        return self.chosen()


def choice(trials: list[Trial]) -> dict[str, Any]:
    """Choose the trial with the best score, and of equals the one that was tried first, whichever ended first."""
    best = min(trials, key=lambda trial: (-(trial.score or 0), trial.number), default=Trial(0, {}))
    return dict(
        parameters=best.parameters,
        score=best.score,
        trials=[trial._asdict() for trial in sorted(trials)],
    )
