"""A study: one method on one task and trunk; and its runs."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..experiments.words import CLASSIFICATION, SEGMENTATION, words_of
from .files import read_json
from .space import Parameters, Space, Value
from .tasks import benchmark_of

# Of a run's config by stage. No run of the search can see the test images: split=choose has none.
SPLITS = dict(search="choose", final="final")


@dataclass(frozen=True)
class Study:
    """One method on one task and trunk: searched on the validation split, then trained once per seed and tested.

    Args:
        task: ``vtab/dtd``, ``ade20k``.
        trunk: ``vitb_in21k``.
        name: of the method or of a variant of it; a row of tables and a folder.
        method: the ``method=`` word.
        words: further words that hold for all runs.
        cfg_options: ``KEY=VALUE`` that hold for all runs.
        amp: mixed precision.
        space: what the search tries.
        seeds: of the final runs.
        search_seed: of the search's runs.
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

    @property
    def key(self) -> str:
        """Its folder below the work dir."""
        return f"{self.task}/{self.trunk}/{self.name}"

    @property
    def head(self) -> str:
        """What reads the trunk: ``classifier``, or segmentation's ``upernet``, ``setr_pup``, ``linear``."""
        task = SEGMENTATION if benchmark_of(self.task) == SEGMENTATION else CLASSIFICATION
        return str(self.words.get("head", words_of(task)["head"].default))

    def search_run(self, parameters: Parameters) -> Run:
        """Return the run that tries some hyper-parameters: trained and scored on the validation protocol."""
        return Run(self, "search", dict(parameters), self.search_seed)

    def final_run(self, parameters: Parameters, seed: int) -> Run:
        """Return the run that is reported."""
        return Run(self, "final", dict(parameters), seed)

    def definition(self) -> dict[str, Any]:
        """Describe all that its figures depend on, but for the seeds."""
        return dict(
            method=self.method,
            words=dict(self.words),
            cfg_options=list(self.cfg_options),
            amp=self.amp,
            search_seed=self.search_seed,
            search=self.space.as_json(),
        )


@dataclass(frozen=True)
class Run:
    """One training run of a study."""

    study: Study
    stage: str
    parameters: Mapping[str, Value] = field(hash=False)
    seed: int

    @property
    def key(self) -> str:
        """Its folder below the work dir: STUDY/search/PARAMETERS, or STUDY/final/seed=SEED."""
        name = f"seed={self.seed}" if self.stage == "final" else folder_name(self.parameters)
        return f"{self.study.key}/{self.stage}/{name}"

    def words(self) -> str:
        """Return its experiment in words, as tools/train.py takes them."""
        study = self.study
        named = {name: value for name, value in self.parameters.items() if "." not in name}
        words = dict(method=study.method, trunk=study.trunk, data=study.task, split=SPLITS[self.stage])
        if "train_images" in {**study.words, **named}:  # each seed draws images of its own, the same for all methods
            words["subset_seed"] = str(self.seed)
        return ",".join(f"{name}={value}" for name, value in {**words, **study.words, **named}.items())

    def options(self) -> list[str]:
        """Return its ``--cfg-options``."""
        searched = [f"{name}={value}" for name, value in self.parameters.items() if "." in name]
        return [f"randomness.seed={self.seed}", *self.study.cfg_options, *searched]

    def command(self, program: Sequence[str], folder: Path) -> list[str]:
        """Return its command line.

        Args:
            program: what trains, such as ``python tools/train.py``.
            folder: its work dir.
        """
        files = ["--work-dir", str(folder), "--resume", "--test", str(folder / "scores.json")]
        amp = ["--amp"] if self.study.amp else []
        return [*program, self.words(), *files, *amp, "--cfg-options", *self.options()]

    def definition(self) -> dict[str, Any]:
        """Describe it for its folder."""
        return dict(stage=self.stage, words=self.words(), cfg_options=self.options(), amp=self.study.amp)


def check_same(run: Run, folder: Path) -> Optional[dict[str, Any]]:
    """Return what a run's folder was made for; None where nothing was run in it.

    Raises:
        InputError: another run than this one.
    """
    before = read_json(folder / "run.json")
    if before is not None and _comparable(before) != _comparable(run.definition()):
        raise InputError(
            f"{folder} holds a run of {before}, but the plan and chosen.json ask for {run.definition()} there; give "
            "another --work-dir, or, of final runs, put the chosen.json back that they were made for"
        )
    return before


def folder_name(parameters: Parameters, limit: Optional[int] = 150) -> str:
    """Name a folder after hyper-parameters, readable and different for different ones."""
    name = ",".join(f"{key}={value}" for key, value in parameters.items()) or "default"
    plain = re.sub(r"[^\w=,.+-]", "_", name)[:limit]
    return plain if plain == name else f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _comparable(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Take the order out of a run's words, which changes nothing that is trained."""
    return {**definition, "words": sorted(str(definition.get("words")).split(","))}
