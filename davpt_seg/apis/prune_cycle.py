"""E2VPT's two stages in one command: train, measure, prune, train anew, choose; stopped, it goes on where it was.

What is removed is chosen without any test image: all trainings but the last test on validation images.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ..benchmark.files import read_json, write_json
from ..core.adapters.pruning import pruned
from ..errors import InputError, some
from .prune_check import Shares
from .prune_data import loader_to_measure
from .prune_experiment import Experiment
from .prune_files import draw_pruned, pruned_config
from .prune_importance import Measured, measure
from .prune_stage import Stage, settle

METRICS = ("accuracy/top1", "mIoU")  # by which shares are chosen, whichever the test gives


@dataclass(frozen=True)
class Cycle:
    """A pruning cycle.

    Args:
        experiment: what is trained.
        folder: of all that it writes.
        shares: to choose among.
        segments: of a prompt.
        split, images: what importance is measured on, see :func:`.prune_data.loader_to_measure`.
        rank_by: see :meth:`.prune_importance.Measured.ranked`.
        amp: train in mixed precision.
        test: whether the chosen one is trained and tested as it is reported.
    """

    experiment: Experiment
    folder: Path
    shares: list[Shares]
    segments: int
    split: str
    images: Optional[int]
    rank_by: str
    amp: bool
    test: bool

    @property
    def first(self) -> Stage:
        """Stage 1, whole prompts."""
        return Stage(self.folder / "stage1.py", "stage 1")

    def second(self, shares: Shares) -> Stage:
        """Stage 2 with these shares removed."""
        return Stage(self.folder / "stage2" / f"{shares}.py", f"stage 2, {shares.in_words()} removed")

    @property
    def final(self) -> Stage:
        """The chosen one, with the real test."""
        return Stage(self.folder / "final.py", "final")

    def check(self) -> None:
        """See whether the folder is of this cycle.

        Raises:
            InputError: it is another one's, or what is chosen among changed after test images were seen.
        """
        asked = self._definition()
        begun = read_json(self.folder / "cycle.json") or asked
        told = [f"{key} was {begun.get(key)} and is {asked[key]}" for key in asked if begun.get(key) != asked[key]]
        if told:
            raise InputError(
                f"{self.folder} holds another cycle: {some(told, separator='; ')}. Give another --work-dir"
            )
        chosen = read_json(self.folder / "chosen.json")
        if chosen and self.final.work_dir.exists() and set(chosen["scores"]) != set(map(str, self.shares)):
            raise InputError(
                f"{self.folder}: {chosen['shares']} was chosen among {some(chosen['scores'])}, and its test has "
                "begun; other shares would be chosen on test images. Give the same shares, or another --work-dir"
            )

    def _definition(self) -> dict[str, Any]:
        names = ("segments", "split", "images", "rank_by", "amp")
        return dict(config=self.experiment.name, **{name: getattr(self, name) for name in names})

    def run(self) -> None:
        """Do what has not been done yet.

        Raises:
            InputError: the folder is another cycle's, or a training failed.
        """
        self.check()
        write_json(self.folder / "cycle.json", self._definition())
        settle(self.experiment.choosing, self.first.config, f"{self.experiment.name}, whole prompts")
        self.first.train(self.amp)
        measured = self.importance()
        for shares in self.shares:
            stage = self.second(shares)
            self._settle_pruned(self.experiment.choosing, measured, shares, stage)
            if stage.scores is None:
                draw_pruned(measured, shares, stage.config.with_suffix(".png"))
            stage.train(self.amp)
        chosen = self.choose()
        if self.test:
            self._settle_pruned(self.experiment.final, measured, chosen, self.final)
            trained = self.second(chosen).checkpoint if self.experiment.same_training else None
            self.final.train(self.amp, trained)

    def importance(self) -> Measured:
        """Measure importance once."""
        path = self.folder / "importance.json"
        if not path.is_file():
            cfg, name = self.experiment.choosing, self.experiment.name
            loader = loader_to_measure(cfg, self.split, self.images, name)
            measure(cfg, self.first.checkpoint, loader, self.segments, name).write(path)
        measured = Measured.read(path)
        print(f"importance: measured on {measured.in_words()}; {path}", flush=True)
        return measured.ranked(self.rank_by)

    def _settle_pruned(self, cfg: Config, measured: Measured, shares: Shares, stage: Stage) -> None:
        kept = pruned(measured.importance, *shares)
        settle(pruned_config(cfg, kept), stage.config, f"{self.experiment.name}, {shares.in_words()} removed")

    def choose(self) -> Shares:
        """Choose the best on validation; of equals, the one with fewer learned numbers.

        Raises:
            InputError: the test gives none of ``METRICS``.
        """
        found = {shares: self.second(shares).scores or {} for shares in self.shares}
        metric = next((name for name in METRICS if all(name in scores for scores in found.values())), None)
        if metric is None:
            given = sorted({name for scores in found.values() for name in scores if name != "about"})
            raise InputError(f"nothing to choose by: scores are {some(given)}, but none of {', '.join(METRICS)}")
        best = max(found, key=lambda shares: (found[shares][metric], -found[shares]["about"]["trained"]))
        scores = {str(shares): found[shares][metric] for shares in self.shares}
        write_json(self.folder / "chosen.json", dict(shares=str(best), metric=metric, scores=scores))
        return best

    def chosen(self) -> Optional[str]:
        """Name the shares that were chosen; None before, or where others are asked for."""
        found = read_json(self.folder / "chosen.json")
        return found["shares"] if found and set(found["scores"]) == set(map(str, self.shares)) else None
