"""Plans: which tasks, trunks, methods and seeds, what is searched, and what is drawn of it."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError, nearest
from ..experiments.catalog import config_root
from ..experiments.words import WORDS as EXPERIMENT_WORDS
from ..experiments.words import is_path
from .checks import check_folder, check_keys, check_options
from .drawings import Drawings, drawings
from .grids import space_of
from .series import Series, entries, series_of, variants
from .study import Study
from .tasks import benchmark_of, expand
from .values import list_of, of_type, word

KEYS = (
    *("tasks", "trunks", "methods", "seeds", "search_seed"),
    *("grid", "sampler", "trials", "common", "cfg_options", "amp", "figures", "tables"),
)
METHOD_KEYS = ("method", "grid", "cfg_options", "over")
WORDS = tuple(dict.fromkeys(word.name for word in EXPERIMENT_WORDS if not word.by_runner))
SEEDS = dict(vtab=5, fgvc=1, segmentation=3)
SEARCH_SEED = 100  # no reported run has it
# Learning rates where a plan names none: ours, around those of the released configs. A whole trunk bears a hundredth.
RATES = (5e-4, 1e-3, 5e-3, 1e-2)
FULL_RATES = (5e-6, 1e-5, 5e-5, 1e-4)


@dataclass(frozen=True)
class Plan:
    """What a plan asks for.

    Args:
        studies: all tasks, of each all trunks, of each all methods and variants.
        series: of variants, by name.
        drawings: figures and tables of them.
    """

    studies: list[Study]
    series: Mapping[str, Series]
    drawings: Drawings


def plan_of(content: Mapping[str, Any]) -> Plan:
    """Understand a plan.

    Raises:
        InputError: an unknown key, name or word, or values that do not fit; the message says which and what was meant.
    """
    check_keys(content, KEYS, "the plan")
    found = studies(content)
    listed = [(name, settings) for name, settings in entries(content["methods"]) if "over" in settings]
    series = {name: series_of(name, settings) for name, settings in listed}
    return Plan(found, series, drawings(content, {study.name for study in found}, series))


def studies(plan: Mapping[str, Any]) -> list[Study]:
    """Turn a plan into its studies.

    Raises:
        InputError: see :func:`plan_of`.
    """
    check_keys(plan, KEYS, "the plan")
    for key in ("tasks", "trunks", "methods"):
        if not plan.get(key):
            raise InputError(f"the plan names no {key}; give them as a list under {key!r}, or by --{key}")
    tasks = expand(_names(plan, "tasks"))
    for key, names in (("tasks", tasks), ("trunks", _names(plan, "trunks"))):
        for name in names:
            check_folder(name, key)
    methods: dict[str, dict[str, Any]] = {}
    for entry in entries(plan["methods"]):
        check_keys(entry[1], (*METHOD_KEYS, *WORDS), f"method {entry[0]!r}")
        for name, settings in variants(*entry):
            if name in methods:
                raise InputError(f"methods: {name!r} is there twice; give the variant a name of its own")
            methods[name] = _method(name, settings, plan)
    seeds = plan.get("seeds", SEEDS)
    return [
        Study(task=task, trunk=trunk, name=name, seeds=_seeds(seeds, benchmark_of(task)), **method)
        for task in tasks
        for trunk in _names(plan, "trunks")
        for name, method in methods.items()
    ]


def _method(name: str, settings: Mapping[str, Any], plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the studies of a method or variant have in common."""
    where = f"method {name!r}"
    if "/" in name:
        raise InputError(f"{where}: a name becomes a folder; use letters, digits and _ - + .")
    check_folder(name, where)
    check_keys(settings, (*METHOD_KEYS, *WORDS), where)
    common = plan.get("common") or {}
    check_keys(common, WORDS, "common")
    method = settings.get("method", name)
    _check_method(method, where)
    own = {key: value for key, value in settings.items() if key in WORDS}
    searched = settings.get("grid") or {}  # by this method alone, so that it is fixed for the others
    common = {key: value for key, value in common.items() if key not in searched}
    words = {key: word(key, value, where) for key, value in {**common, **own}.items()}
    options = list_of(plan.get("cfg_options"), "cfg_options") + list_of(
        settings.get("cfg_options"), f"{where}, cfg_options"
    )
    check_options(options, where)
    grid = settings.get("grid", plan.get("grid"))
    if grid is None:
        grid = {} if "lr" in words else dict(lr=FULL_RATES if method == "full" else RATES)
    return dict(
        method=method,
        words=words,
        cfg_options=options,
        amp=of_type(bool, plan, "amp", False),
        space=space_of(grid, words, plan, WORDS, where),
        search_seed=of_type(int, plan, "search_seed", SEARCH_SEED),
    )


def _check_method(method: Any, where: str) -> None:
    """See that each of the methods that are joined by ``+`` is one of ours, or the path of a file that exists."""
    known = sorted(path.stem for path in (config_root() / "_base_" / "methods").glob("*.py"))
    for part in str(method).split("+"):
        if is_path(part):
            if not osp.isfile(osp.expanduser(part)):
                raise InputError(f"{where}: there is no file {osp.abspath(osp.expanduser(part))}")
        elif part not in known:
            raise InputError(f"{where}: there is no method {part!r}; {nearest(part, known)}")


def _seeds(seeds: Any, benchmark: str) -> tuple[int, ...]:
    """Return the seeds of a benchmark: a list as it is, a number N as 0 to N - 1."""
    if isinstance(seeds, Mapping):
        check_keys(seeds, tuple(SEEDS), "seeds")
        seeds = seeds.get(benchmark, SEEDS[benchmark])
    if type(seeds) is int and seeds > 0:
        return tuple(range(seeds))
    if isinstance(seeds, (list, tuple)) and seeds and all(type(seed) is int and seed >= 0 for seed in seeds):
        return tuple(dict.fromkeys(seeds))
    raise InputError(f"seeds must be a list of numbers, or how many (5 means 0 to 4), got {seeds!r}")


def _names(plan: Mapping[str, Any], key: str) -> list[str]:
    names = plan[key]
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise InputError(f"{key} must be a list of names, got {names!r}")
    return list(names)
