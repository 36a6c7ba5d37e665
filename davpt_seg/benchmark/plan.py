"""Plans: which tasks, trunks, methods and seeds, and what is searched; from a YAML file and the command line."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Optional, Union

import yaml

from ..packaged_configs import config_root
from .errors import PlanError
from .space import Range, Space, Value
from .study import Study
from .tasks import benchmark_of, did_you_mean, expand
from .values import list_of, of_type, word

KEYS = (
    *("tasks", "trunks", "methods", "seeds", "search_seed"),
    *("grid", "sampler", "trials", "common", "cfg_options", "amp"),
)
METHOD_KEYS = ("method", "grid", "cfg_options")
WORDS = (
    *("lr", "head_lr", "weight_decay", "head_weight_decay", "prompts", "guided_prompts", "patch_weight", "cls_weight"),
    *("prompt_scale", "key_value_prompts", "rank", "width", "drop_path", "batch_size"),
    *("epochs", "warmup_epochs", "image_size"),  # recognition's
    *("head", "schedule", "iters"),  # segmentation's, and a schedule is either's
)
OWN_WORDS = ("split", "data", "trunk", "method")  # the runner writes these
SEEDS = dict(vtab=5, fgvc=1, segmentation=3)
SEARCH_SEED = 100  # no reported run has it
# Learning rates where a plan names none: ours, around those of the released configs. A whole trunk bears a hundredth.
RATES = (5e-4, 1e-3, 5e-3, 1e-2)
FULL_RATES = (5e-6, 1e-5, 5e-5, 1e-4)
# What an option must not touch, or the search could see test images.
PROTECTED = (
    *("val_dataloader.dataset", "test_dataloader", "val_evaluator", "test_evaluator"),
    *("train_dataloader.dataset", "randomness.seed"),
)
ALLOWED = "train_dataloader.dataset.pipeline"  # how images are augmented is not which images they are


def read_plan(path: Path) -> dict[str, Any]:
    """Read a plan file.

    Raises:
        PlanError: it cannot be read, or has a key that plans have not.
    """
    try:
        plan = yaml.safe_load(path.read_text())
    except OSError as error:
        raise PlanError(f"plan {str(path)!r} cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise PlanError(f"plan {str(path)!r} is no YAML: {error}") from error
    if not isinstance(plan, dict):
        raise PlanError(f"plan {str(path)!r} must be a mapping with the keys {', '.join(KEYS)}")
    return plan


def studies(plan: Mapping[str, Any]) -> list[Study]:
    """Turn a plan into its studies: all tasks, of each all trunks, of each all methods.

    Raises:
        PlanError: an unknown key, name or word, or values that do not fit; the message says which and what was meant.
    """
    _check_keys(plan, KEYS, "the plan")
    for key in ("tasks", "trunks", "methods"):
        if not plan.get(key):
            raise PlanError(f"the plan names no {key}; give them as a list under {key!r}, or by --{key}")
    tasks = expand(_names(plan, "tasks"))
    methods = dict(_method(entry, plan) for entry in _entries(plan["methods"]))
    seeds = plan.get("seeds", SEEDS)
    return [
        Study(task=task, trunk=trunk, name=name, seeds=_seeds(seeds, benchmark_of(task)), **method)
        for task in tasks
        for trunk in _names(plan, "trunks")
        for name, method in methods.items()
    ]


def _method(entry: tuple[str, Mapping[str, Any]], plan: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return a method's name and what its studies have in common."""
    name, settings = entry
    where = f"method {name!r}"
    if not name.replace("_", "").replace("-", "").replace(".", "").replace("+", "").isalnum():
        raise PlanError(f"{where}: a name becomes a folder; use letters, digits and _ - + .")
    _check_keys(settings, (*METHOD_KEYS, *WORDS), where)
    common = plan.get("common") or {}
    _check_keys(common, WORDS, "common")
    method = settings.get("method", name)
    _check_method(method, where)
    own = {key: value for key, value in settings.items() if key in WORDS}
    searched = settings.get("grid") or {}  # by this method alone, so that it is fixed for the others
    common = {key: value for key, value in common.items() if key not in searched}
    words = {key: word(key, value, where) for key, value in {**common, **own}.items()}
    options = list_of(plan.get("cfg_options"), "cfg_options") + list_of(
        settings.get("cfg_options"), f"{where}, cfg_options"
    )
    _check_options(options, where)
    grid = settings.get("grid", plan.get("grid"))
    if grid is None:
        grid = {} if "lr" in words else dict(lr=FULL_RATES if method == "full" else RATES)
    return name, dict(
        method=method,
        words=words,
        cfg_options=options,
        amp=of_type(bool, plan, "amp", False),
        space=_space(grid, words, plan, where),
        search_seed=of_type(int, plan, "search_seed", SEARCH_SEED),
    )


def _check_method(method: Any, where: str) -> None:
    """See that each of the methods that are joined by ``+`` exists."""
    known = sorted(path.stem for path in (config_root() / "_base_" / "methods").glob("*.py"))
    for part in str(method).split("+"):
        if part not in known:
            raise PlanError(f"{where}: there is no method {part!r}{did_you_mean(part, known)}")


def _space(grid: Mapping[str, Any], words: Mapping[str, Value], plan: Mapping[str, Any], where: str) -> Space:
    dotted = [key for key in grid if "." in str(key)] if isinstance(grid, Mapping) else []
    _check_keys(grid, (*WORDS, *dotted), f"{where}, grid")
    _check_options([f"{key}=" for key in dotted], f"{where}, grid")
    if both := sorted(grid.keys() & words.keys()):
        raise PlanError(f"{where}: {', '.join(both)} both fixed and searched; take it out of one of them")
    return Space(
        {key: _axis(key, axis, f"{where}, grid {key}") for key, axis in grid.items()},
        sampler=plan.get("sampler", "grid"),
        trials=plan.get("trials"),
    )


def _axis(key: str, axis: Any, where: str) -> Union[tuple[Value, ...], Range]:
    if isinstance(axis, Mapping):
        _check_keys(axis, ("low", "high", "log"), where)
        try:
            return Range(float(axis["low"]), float(axis["high"]), bool(axis.get("log", True)))
        except KeyError as error:
            raise PlanError(f"{where}: a range needs low and high, {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise PlanError(
                f"{where}: low and high must be numbers and low the less, got {dict(axis)} ({error})"
            ) from error
    return tuple(word(key, value, where) for value in (axis if isinstance(axis, (list, tuple)) else [axis]))


def _seeds(seeds: Any, benchmark: str) -> tuple[int, ...]:
    """Return the seeds of a benchmark: a list as it is, a number N as 0 to N - 1."""
    if isinstance(seeds, Mapping):
        _check_keys(seeds, tuple(SEEDS), "seeds")
        seeds = seeds.get(benchmark, SEEDS[benchmark])
    if type(seeds) is int and seeds > 0:
        return tuple(range(seeds))
    if isinstance(seeds, (list, tuple)) and seeds and all(type(seed) is int and seed >= 0 for seed in seeds):
        return tuple(dict.fromkeys(seeds))
    raise PlanError(f"seeds must be a list of numbers, or how many (5 means 0 to 4), got {seeds!r}")


def _entries(methods: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield names and settings of the methods' list, whose entries are a name or ``name: {settings}``."""
    names: set[str] = set()
    if not isinstance(methods, Mapping):
        methods = list_of(methods, "methods")
    for entry in methods.items() if isinstance(methods, Mapping) else methods:
        if isinstance(entry, Mapping) and len(entry) == 1:
            entry = next(iter(entry.items()))
        name, settings = (entry, {}) if isinstance(entry, str) else entry if isinstance(entry, tuple) else (None, None)
        if not isinstance(name, str) or not isinstance(settings or {}, Mapping):
            raise PlanError(f"methods: an entry is a name, or 'name: {{method: davpt, prompts: 4}}', got {entry!r}")
        if name in names:
            raise PlanError(f"methods: {name!r} is there twice; give the variant a name of its own")
        names.add(name)
        yield name, settings or {}


def _names(plan: Mapping[str, Any], key: str) -> list[str]:
    names = plan[key]
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise PlanError(f"{key} must be a list of names, got {names!r}")
    return list(names)


def _check_keys(content: Any, known: Collection[str], where: str) -> None:
    if not isinstance(content, Mapping):
        raise PlanError(f"{where} must be a mapping, got {content!r}")
    for key in content:
        if key in OWN_WORDS and key not in known:
            raise PlanError(f"{where}: {key!r} is set by the runner: it chooses on split=choose, tests on split=final")
        if key not in known:
            raise PlanError(f"{where} has no {key!r}{did_you_mean(str(key), tuple(known))}")


def _check_options(options: Sequence[str], where: str) -> None:
    for option in options:
        key, equals, _ = str(option).partition("=")
        if not equals:
            raise PlanError(f"{where}, cfg_options: {option!r} is no KEY=VALUE")
        if f"{key}.".startswith(f"{ALLOWED}."):
            continue
        if any(f"{key}.".startswith(f"{name}.") or name.startswith(f"{key}.") for name in PROTECTED):
            raise PlanError(f"{where}: {key} decides which images or seeds a run sees, which is the protocol's to set")


def narrow(found: list[Study], key: str, wanted: Optional[Sequence[str]]) -> list[Study]:
    """Keep the studies that the command line names: ``key`` is ``task``, ``trunk`` or ``name``.

    Raises:
        PlanError: the plan has no such.
    """
    if not wanted:
        return found
    there = tuple(dict.fromkeys(getattr(study, key) for study in found))
    chosen: list[str] = []
    for name in wanted:
        meant = [each for each in (expand([name]) if key == "task" else [name]) if each in there]
        if not meant:
            raise PlanError(f"the plan has no {name!r}{did_you_mean(name, there)}")
        chosen += meant
    return [study for study in found if getattr(study, key) in chosen]
