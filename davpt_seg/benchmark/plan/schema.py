"""Schema of a plan: one class for each mapping in its file."""

from __future__ import annotations

import os.path as osp
import re
from typing import Annotated, Any, Optional

from pydantic import AfterValidator, Field, StrictBool, StrictInt, StrictStr, ValidationInfo, model_validator

from ...errors import InputError, nearest
from ...experiments.catalog import config_root
from ...experiments.words import is_path
from .drawings import Figure, Table
from .fields import MOST_SEED, SEEDS, WORDS, FileName, FolderName, Names, Options, Seeds, Words, WordsAndKeys, within
from .parts import Part, check_keys, shortened
from .space import MOST_TRIALS, Axes
from .variants import Series, methods_of

SEARCH_SEED = 100  # no reported run has it


def _method(method: str) -> str:
    """Check that each of the methods joined by ``+`` is one of ours, or the path of a file that exists."""
    known = sorted(path.stem for path in (config_root() / "_base_" / "methods").glob("*.py"))
    for part in method.split("+"):
        if re.search("[,=]", part):
            raise InputError(f"a method's name or path must not hold , or =, got {shortened(part)}")
        if is_path(part):
            if not osp.isfile(osp.expanduser(part)):
                raise InputError(f"there is no file {osp.abspath(osp.expanduser(part))}")
        elif part not in known:
            raise InputError(f"there is no method {shortened(part)}; {nearest(part, known)}")
    return method


class Setting(Part):
    """Keys of a plan and of a setting's file: tasks, trunks, and options of all runs."""

    tasks: Names = Field(default=(), description="tasks, or groups of tasks")
    trunks: Names = Field(default=(), description="ViTs")
    seeds: Seeds = Field(
        default={benchmark: tuple(range(count)) for benchmark, count in SEEDS.items()},
        description="number of final runs (5 means 0 to 4) or list of their seeds; for all, or by benchmark",
    )
    amp: StrictBool = Field(default=False, description="mixed precision")
    common: Words = Field(default={}, description="words of all runs")
    cfg_options: Options = Field(default=(), description="`KEY=VALUE` of the config, for all runs")
    grid: Optional[Axes] = Field(
        default=None, description="list of values or `{low: ..., high: ..., log: true}` by word or by key of the config"
    )


class Method(Part):
    """Method or variant, with its words in addition to the keys below."""

    method: Annotated[StrictStr, AfterValidator(_method)] = Field(
        description="name or `.py` file of a method, or several joined by `+`; by default the entry's name"
    )
    grid: Optional[Axes] = Field(default=None, description="what is searched in place of the plan's grid")
    cfg_options: Options = Field(default=(), description="further `KEY=VALUE` of the config")
    importance: Optional[WordsAndKeys] = Field(
        default=None, description="words of a run before the search, which measures the importance of its prompts"
    )
    over: None = Field(default=None, description="one axis with its values; the entry then represents several variants")
    words: Words = Field(default={}, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any) -> Any:
        own = [key for key in cls.model_fields if key != "words"]
        check_keys(content, (*own, *WORDS))
        words = {key: value for key, value in content.items() if key not in own}
        return {key: content[key] for key in own if content.get(key) is not None} | {"words": words}


class PlanFile(Setting):
    """Plan as read from its file or the command line."""

    settings: Names = Field(default=(), description="settings to run on; `--setting` chooses, by default the first")
    methods: dict[FolderName, Method] = Field(default={}, description="list of methods: `name`, or `name: {settings}`")
    sampler: StrictStr = Field(default="grid", description="`grid` tries all combinations, `tpe` is Optuna's")
    trials: Optional[Annotated[StrictInt, within(1, MOST_TRIALS)]] = Field(
        default=None, description="trials of each search by `tpe`"
    )
    search_seed: Annotated[StrictInt, within(0, MOST_SEED)] = Field(
        default=SEARCH_SEED, description="seed of the search's runs"
    )
    figures: dict[FileName, Figure] = Field(default={}, description="figures along an axis, by name")
    tables: dict[FileName, Table] = Field(default={}, description="tables of components, by name")
    series: dict[str, Series] = Field(default={}, exclude=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any, info: ValidationInfo) -> Any:
        check_keys(content, [key for key in cls.model_fields if key != "series"])
        given = {key: value for key, value in content.items() if value is not None}
        context = info.context if info.context is not None else {}
        if "methods" in given:
            given["methods"], given["series"] = methods_of(given["methods"], context.get("searched", ()))
        context.update(methods=dict.fromkeys(given.get("methods", ())), series=given.get("series", {}))
        return given

    def over(self, other: Setting) -> PlanFile:
        """Return this plan, completed by another one's keys; words and options of both are joined."""
        kept = {key: getattr(other, key) for key in other.model_fields_set - self.model_fields_set}
        both = dict(
            common={**other.common, **self.common},
            cfg_options=(*other.cfg_options, *self.cfg_options),
        )
        return self.model_copy(update={**kept, **both})
