"""Protocol: hyper-parameters are chosen on validation images and recorded before a test image is seen.

- If prompts are pruned, a run before the search trains all of them and measures their importance, once.
- A run of the search has ``split=choose``: its validation and test images are the validation split.
- ``chosen.json`` is written when the search is over, and no final run starts before.
- A final run that ended is never repeated, and a study whose final runs have begun cannot be changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Optional

from ...errors import InputError
from ...runs.json_files import is_number, name_damaged, read_json, write_json
from ...runs.results import result
from ...runs.training import check_same
from ..plan.space import Parameters, Trial
from ..plan.stay import stay
from ..plan.study import Run, Study

if TYPE_CHECKING:
    from .search import Search


class Protocol:
    """Protocol of a study: its choice, and the runs that may start next.

    Args:
        study: study of the plan.
        root: work dir of all studies.
    """

    def __init__(self, study: Study, root: Path) -> None:
        self.root = root
        self.folder = root / study.key
        self.study = self._in_recorded_order(study)
        self._scores: dict[str, float] = {}

    def _in_recorded_order(self, study: Study) -> Study:
        """Return the study with the axes in the order of ``study.json``, which the folders of its trials have."""
        search = (read_json(self.folder / "study.json") or {}).get("search")
        axes, recorded = study.space.axes, search.get("axes") if isinstance(search, dict) else None
        if not isinstance(recorded, dict) or recorded.keys() != axes.keys():
            return study
        return replace(study, space=replace(study.space, axes={name: axes[name] for name in recorded}))

    @property
    def trials(self) -> int:
        """Return the number of runs of the search; with pruning, a single value has a run, too."""
        space, prunes = self.study.space, self.study.importance is not None
        return space.count if space.searched or (prunes and space.axes) else 0

    @cached_property
    def _tpe(self) -> Search:
        from .search import Search  # a grid needs no Optuna

        return Search(self.folder, self.study.space, self.study.search_seed)

    def check(self) -> None:
        """Check that the plan and the choice are still those of the work dir's runs.

        Raises:
            InputError: they changed after final runs began, or the plan changed in what finished trials depend on.
        """
        self._check_plan()
        if self.study.importance is not None:
            check_same(self.study.whole_run().definition(), self.folder / "whole")
        chosen = self.chosen()
        if chosen is not None:
            tried = self._pruned(self.study.search_run(chosen["parameters"]))  # by the same importances
            for run in (*([tried] if chosen["trials"] else []), *self.final_runs(chosen["parameters"])):
                check_same(run.definition(), self.root / run.key)

    def _changes(self) -> dict[str, str]:
        """Describe the differences to the study of the work dir, by key."""
        old, new = read_json(self.folder / "study.json"), self.study.definition()
        if old is None:
            return {}
        old = {"method_files": new.get("method_files"), **old}  # work dirs of earlier versions lack them
        return {
            key: f"{key} was {old.get(key)} and is {new.get(key)}"
            for key in {**old, **new}
            if old.get(key) != new.get(key)
        }

    def _check_plan(self) -> None:
        changed = self._changes()
        if not changed:
            return
        changes = "; ".join(changed.values())
        advice = "Give the changed plan another --work-dir, or undo the change"
        if any(self.folder.glob("final/*/attempts/*")):
            raise InputError(
                f"{self.study.key}: the plan changed after its final runs had begun, which would be choosing on test "
                f"images: {changes}. {advice}"
            )
        if [*changed] != ["search"] and any(self.folder.glob("search/*/attempts/*")):
            raise InputError(
                f"{self.study.key}: the plan changed, and trials were run for the old one: {changes}. {advice}"
            )

    def register(self) -> None:
        """Record the study; an unused choice of another search is removed."""
        self.check()
        if self._changes():
            (self.folder / "chosen.json").unlink(missing_ok=True)
        if read_json(self.folder / "study.json") != self.study.definition():
            write_json(self.folder / "study.json", self.study.definition())

    def chosen(self) -> Optional[dict[str, Any]]:
        """Return the choice: ``parameters``, their ``score``, and all ``trials``; None before it."""
        path = self.folder / "chosen.json"
        found = read_json(path)
        if found is not None and not _is_choice(found):
            name_damaged(path)
            return None
        return found

    def next_runs(self) -> Iterator[Run]:
        """Yield the runs that may be started now, in order; final runs that have ended are among them.

        A search by TPE draws a trial for each further run, so the caller must take only runs that it starts.
        """
        if not self.measured():
            yield self.study.whole_run()
            return
        chosen = self.chosen() or self._choose()
        if chosen is not None:
            yield from self.final_runs(chosen["parameters"])
            return
        tried = self._tried()
        yield from (self._pruned(self.study.search_run(each.parameters)) for each in tried if each.score is None)
        for _ in range(self.trials - len(tried)):
            trial = self._tpe.ask()
            score = self._score(trial.parameters)
            if score is None:
                yield self._pruned(self.study.search_run(trial.parameters))
            else:  # the journal was removed
                self._tpe.tell(trial, score)
        chosen = self._choose()
        if chosen is not None:
            yield from self.final_runs(chosen["parameters"])

    def final_runs(self, parameters: Parameters) -> list[Run]:
        """List the final runs."""
        return [self._pruned(self.study.final_run(parameters, seed)) for seed in self.study.seeds]

    def measured(self) -> bool:
        """Return whether the importance of the prompts is known, or no prompts are pruned."""
        return self.study.importance is None or result(self.folder / "whole") is not None

    def _pruned(self, run: Run) -> Run:
        """Return a run with the prompts that stay."""
        if self.study.importance is None:
            return run
        return replace(run, stay=stay(self.folder / "whole" / "importance.json", run.named()))

    def hopeless(self) -> bool:
        """Return whether every trial has ended with a score of 0, so that nothing can be chosen."""
        if not self.trials or not self.measured() or (self.chosen() or self._choose()) is not None:
            return False
        scores = [trial.score for trial in self._tried()]
        return len(scores) == self.trials and all(score == 0 for score in scores)

    def _tried(self) -> list[Trial]:
        """List the trials, with scores of those that ended: all of a grid, or those that TPE requested."""
        space = self.study.space
        if space.sampler == "grid":
            return [Trial(i, point, self._score(point)) for i, point in enumerate(space.points())]
        for trial in self._tpe.trials():
            if trial.score is None and (score := self._score(trial.parameters)) is not None:
                self._tpe.tell(trial, score)
        return self._tpe.trials()

    def _score(self, parameters: Parameters) -> Optional[float]:
        """Return the score of a trial from its folder; None if it has not ended."""
        key = self.study.search_run(parameters).key
        if key not in self._scores and (found := result(self.root / key)) is not None:
            self._scores[key] = found["score"]
        return self._scores.get(key)

    def _choose(self) -> Optional[dict[str, Any]]:
        """Choose when every trial has a score; None as long as one has not, or if none is above 0."""
        trials = self._tried() if self.trials else []
        scored = [trial for trial in trials if trial.score is not None]
        if len(scored) < self.trials or (self.trials and not any(trial.score for trial in scored)):
            return None
        write_json(self.folder / "chosen.json", choice(trials or [Trial(0, self.study.space.example())], self._size))
        return self.chosen()

    def _size(self, trial: Trial) -> int:
        """Count a trial's parameters after pruning; 0 without pruning."""
        found = self.study.importance is not None and result(self.root / self.study.search_run(trial.parameters).key)
        return found.get("tuned", 0) if found else 0


def _is_choice(found: dict[str, Any]) -> bool:
    """Return whether the content of a ``chosen.json`` has the form that :func:`choice` gives it."""
    trials = found.get("trials")
    if not isinstance(trials, list) or not (found.get("score") is None or is_number(found["score"])):
        return False
    return _are_parameters(found.get("parameters")) and all(
        isinstance(trial, dict) and is_number(trial.get("score")) and _are_parameters(trial.get("parameters"))
        for trial in trials
    )


def _are_parameters(found: Any) -> bool:
    return isinstance(found, dict) and all(isinstance(value, (str, int, float)) for value in found.values())


def choice(trials: Sequence[Trial], size: Callable[[Trial], int] = lambda trial: 0) -> dict[str, Any]:
    """Choose the trial with the best score; among equals the smallest, then the first."""
    best = min(trials, key=lambda trial: (-(trial.score or 0), size(trial), trial.number))
    return dict(
        parameters=best.parameters,
        score=best.score,
        trials=[trial._asdict() for trial in sorted(trials) if trial.score is not None],
    )
