"""Study of one method on one task and trunk, and its runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional

from ...experiments.words import PRUNING, words_of
from .fields import Value
from .space import Parameters, Space
from .tasks import kind_of

# Split of a run's config by stage. No run before the final ones can see test images: split=choose has none.
SPLITS = dict(whole="choose", search="choose", final="final")


@dataclass(frozen=True)
class Study:
    """One method on one task and trunk: searched on the validation split, then trained once per seed and tested.

    Args:
        task: name such as ``vtab/dtd``, ``ade20k``.
        trunk: name such as ``vitb_in21k``.
        name: name of the method or of a variant of it; a row of tables and a folder.
        method: value of the word ``method``.
        words: further words of all runs.
        cfg_options: ``KEY=VALUE`` options of all runs.
        amp: whether to use mixed precision.
        space: values that the search tries.
        seeds: seeds of the final runs.
        search_seed: seed of the search's runs.
        importance: words of a run before the search, which measures the importance of its prompts; None for none.
        method_files: SHA-256 of the method's files by path, for methods that are not ours.
    """

    task: str
    trunk: str
    name: str
    method: str
    words: Parameters
    cfg_options: tuple[str, ...]
    amp: bool
    space: Space
    seeds: tuple[int, ...]
    search_seed: int
    importance: Optional[Parameters] = None
    method_files: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return the study's folder below the work dir."""
        return f"{self.task}/{self.trunk}/{self.name}"

    @property
    def head(self) -> str:
        """Return the head on the trunk: ``classifier``, segmentation's ``linear``, detection's ``fcos``, or another."""
        return str(self.words.get("head", words_of(kind_of(self.task))["head"].default))

    def whole_run(self) -> Run:
        """Return the run before the search: it trains all prompts and measures their importance."""
        return Run(self, "whole", dict(self.importance or {}), self.search_seed)

    def search_run(self, parameters: Parameters) -> Run:
        """Return the run that tries hyper-parameters: trained and scored on the validation protocol."""
        return Run(self, "search", dict(parameters), self.search_seed)

    def final_run(self, parameters: Parameters, seed: int) -> Run:
        """Return the run that is reported."""
        return Run(self, "final", dict(parameters), seed)

    def definition(self) -> dict[str, Any]:
        """Describe all that the study's results depend on, except seeds."""
        return dict(
            method=self.method,
            words=dict(self.words),
            cfg_options=list(self.cfg_options),
            amp=self.amp,
            search_seed=self.search_seed,
            search=self.space.as_json(),
            **({} if self.importance is None else {"importance": dict(self.importance)}),
            **({"method_files": dict(self.method_files)} if self.method_files else {}),
        )


@dataclass(frozen=True)
class Run:
    """Training run of a study.

    Args:
        study: study of the run.
        stage: ``whole``, ``search`` or ``final``.
        parameters: values by word, or by key of the config, in addition to the study's.
        seed: random seed.
        stay: option of the config with the prompts that stay, in place of the words of pruning; empty before
            importance is measured, and in studies without pruning.
    """

    study: Study
    stage: str
    parameters: Mapping[str, Value] = field(hash=False)
    seed: int
    stay: str = ""

    @property
    def key(self) -> str:
        """Return the folder below the work dir: STUDY/whole, STUDY/search/PARAMETERS, or STUDY/final/seed=SEED."""
        if self.stage == "whole":
            return f"{self.study.key}/whole"
        name = f"seed={self.seed}" if self.stage == "final" else folder_name(self.parameters)
        return f"{self.study.key}/{self.stage}/{name}"

    def words(self, pruned: bool = True) -> str:
        """Return the words of the run's experiment, for tools/train.py; with those of pruning, if it has them."""
        study, named = self.study, self.named()
        words = dict(method=study.method, trunk=study.trunk, data=study.task, split=SPLITS[self.stage])
        if "train_images" in named:  # each seed draws other images, the same for all methods
            words["subset_seed"] = str(self.seed)
        omitted = PRUNING if self.stay or not pruned else ()
        return ",".join(f"{name}={value}" for name, value in {**words, **named}.items() if name not in omitted)

    def named(self) -> dict[str, Value]:
        """Return the words of the study and of this run, by name; the run that measures importance prunes nothing."""
        own = {name: value for name, value in self.parameters.items() if "." not in name}
        named = {**self.study.words, **own}
        return {name: named[name] for name in named if self.stage != "whole" or name not in PRUNING}

    def options(self) -> list[str]:
        """Return the run's ``--cfg-options``."""
        searched = [f"{name}={value}" for name, value in self.parameters.items() if "." in name]
        # No final run validates, so it has no options of validation.
        fixed = [each for each in self.study.cfg_options if self.stage != "final" or not each.startswith("val_")]
        return [f"randomness.seed={self.seed}", *fixed, *searched, *filter(None, [self.stay])]

    def definition(self) -> dict[str, Any]:
        """Describe the run for its folder."""
        return dict(stage=self.stage, words=self.words(), cfg_options=self.options(), amp=self.study.amp)


def folder_name(parameters: Parameters, limit: Optional[int] = 150) -> str:
    """Return a readable folder name for hyper-parameters, different for different ones."""
    name = ",".join(f"{key}={value}" for key, value in parameters.items()) or "default"
    plain = re.sub(r"[^\w=,.+-]", "_", name)[:limit]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
