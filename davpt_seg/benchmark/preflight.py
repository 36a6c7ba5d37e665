"""Check of a plan's needs before its first run: packages, data, weights, and experiments that can be composed."""

from __future__ import annotations

import importlib.util
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from typing import Any, Optional

from ..errors import DataError, InputError
from ..packages import install
from ..quiet import without_notes
from .hub import hub_problem
from .plan.study import Run, Study
from .plan.tasks import data_folder, data_variable, missing_data
from .run.devices import check_gpus

SPLITS = ("train", "val", "test")
PACKAGES = {
    "matplotlib": "tables and figures need it",
    "rich": "the display of progress needs it",
    "optuna": "the search by TPE needs it",
}


def check_plan(
    studies: Sequence[Study],
    compose: bool = True,
    gpus: Optional[Sequence[str]] = None,
    tasks: str = "--tasks",
    watching: Sequence[str] = (),
) -> None:
    """Check everything without which a run would fail, perhaps after hours, or train on another device.

    Args:
        studies: studies of the plan.
        compose: whether runs are our trainings, so that their configs can be composed and checked.
        gpus: GPUs of this host that runs use, see :func:`~davpt_seg.benchmark.run.devices.check_gpus`; None skips the
            check.
        tasks: option that chooses tasks, for messages.
        watching: options of trainings for their curves, see :class:`~davpt_seg.runs.training.Launch`.

    Raises:
        InputError: something is missing or wrong; one message lists all problems, each with what to do.
    """
    found = [*missing_packages(studies), *missing_data(dict.fromkeys(study.task for study in studies), tasks)]
    found += _of_watching(watching)
    if compose:
        hidden = sys.modules.setdefault("transformers", None)  # type: ignore[arg-type]  # MMEngine would import it
        try:
            from ..experiments.parts import each_read_once  # imports OpenMMLab: seconds
        finally:
            if hidden is None:
                del sys.modules["transformers"]
        with without_notes(), each_read_once():  # MMEngine would note that a config reads VTAB_ROOT
            found += _of_experiments(studies)
    if gpus is not None:
        try:
            check_gpus(gpus)
        except InputError as error:
            found.append(str(error))
    if found:
        several = f"{len(found)} problems would stop runs of this plan:" if len(found) > 1 else ""
        raise InputError("\n  - ".join(filter(None, [several, *found])))


def missing_packages(studies: Sequence[Study] = ()) -> Iterator[str]:
    """Yield a message for each missing package that reports and the studies' searches need."""
    tpe = any(study.space.sampler == "tpe" for study in studies)
    for package, use in PACKAGES.items():
        if (tpe or package != "optuna") and importlib.util.find_spec(package) is None:
            yield f"package {package} is missing, {use}: {install(package)}"


def _of_watching(options: Sequence[str]) -> Iterator[str]:
    for option in options:
        package = option.partition("=")[0].lstrip("-")
        if importlib.util.find_spec(package) is None:
            yield f"package {package} is missing, --{package} needs it: {install(package)}"
        elif package == "wandb":
            from ..training.watching import check_login

            try:
                check_login()
            except InputError as error:
                yield str(error)


def _of_experiments(studies: Sequence[Study]) -> list[str]:
    """Compose the config of each study and describe its problems; a problem of several studies is reported once."""
    places: dict[str, dict[str, None]] = {}
    checked: set[Any] = set()
    for study in studies:
        for run in _examples(study, checked):
            for problem in _problems(run, checked):
                places.setdefault(problem, {})[study.key] = None
    return [_placed(problem, list(where)) for problem, where in places.items()]


def _placed(problem: str, where: Sequence[str]) -> str:
    others = f" and {len(where) - 1} more" if len(where) > 1 else ""
    return f"{where[0]}{others}: {problem}"


def _examples(study: Study, checked: set[Any]) -> Iterator[Run]:
    """Yield a search run of a study, and for the first study of a kind also further values and the final run."""
    example = study.space.example()
    if study.importance is not None:
        yield study.whole_run()
    yield study.search_run(example)
    kind = (study.method, study.head, *map(str, (study.words, study.cfg_options, study.space.axes)))
    if kind not in checked:
        checked.add(kind)
        for name, axis in study.space.axes.items():
            for value in axis[1:] if isinstance(axis, tuple) else (axis.high,):
                yield study.search_run({**example, name: value})
    if study.seeds and study.task not in checked:
        checked.add(study.task)
        yield study.final_run(example, study.seeds[0])


def _problems(run: Run, checked: set[Any]) -> Iterator[str]:
    from ..experiments.compose import compose_from_words
    from ..experiments.option_values import parsed_options
    from ..experiments.options import put_options
    from ..experiments.shares import check_shares
    from ..training.start import check_weights

    try:
        cfg = compose_from_words(run.words(pruned=False))
        put_options(cfg, parsed_options(run.options()))
        if run.study.importance is not None:  # measured later
            check_shares(cfg, run.named(), run.words())
    except ValueError as error:
        yield str(error)
        return
    try:
        check_weights(cfg)
    except ValueError as error:
        yield f"{error}; a plan lists such options under cfg_options"
    backbone = cfg.model.backbone
    if backbone.get("pretrained") and ("hub", backbone.model_name) not in checked:
        checked.add(("hub", backbone.model_name))
        problem = hub_problem(backbone.model_name)
        if problem:
            yield problem
    yield from _data_problems(run, cfg, checked)


def _data_problems(run: Run, cfg: Any, checked: set[Any]) -> Iterator[str]:
    """Check lists, images and masks of a run's splits; a split of a task is checked once."""
    from ..training.check_splits import check_splits, use_data_check
    from ..training.classes import check_classes

    task = run.study.task
    folder, variable = data_folder(task), data_variable(task)
    where = f" Set {variable} to the data's folder." if variable else ""
    there = folder is None or osp.isdir(folder)  # or missing_data names it
    try:
        settings = use_data_check(cfg)
    except ValueError as error:
        yield f"{error}; a plan lists such options under cfg_options"
        return
    known = [split for split in SPLITS if not there or (task, run.stage, split) in checked]
    for problem in check_splits(cfg, SPLITS, settings, known):
        yield f"data of {run.stage} runs: {problem}.{where}"
    if not there:
        return
    checked.update((task, run.stage, split) for split in SPLITS)
    try:
        check_classes(cfg)
    except DataError:  # named above, once for all runs
        return
    except ValueError as error:
        yield str(error)
