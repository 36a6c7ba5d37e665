"""Studies of a plan, and their figures and tables."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional, Union

from ...errors import InputError, nearest
from ...experiments.words import PRUNING, SHARES, is_path
from .drawings import Figure, Table
from .fields import Value
from .parts import read
from .schema import Method, PlanFile
from .space import Space
from .study import Study
from .tasks import benchmark_of, expand
from .variants import Series

# Default learning rates: ours, around those of the released configs. A fully tuned trunk needs a hundredth.
RATES = (5e-4, 1e-3, 5e-3, 1e-2)
FULL_RATES = (5e-6, 1e-5, 5e-5, 1e-4)
COUNTS = ("prompts", "guided_prompts", "model.backbone.prompts.num_prompts")  # numbers of the measured prompts


@dataclass(frozen=True)
class Drawings:
    """Figures and tables of a plan, by name."""

    figures: Mapping[str, Figure]
    tables: Mapping[str, Table]


@dataclass(frozen=True)
class Plan:
    """Studies and drawings of a plan.

    Args:
        studies: studies, ordered by task, then trunk, then method or variant.
        series: series of variants, by name.
        drawings: figures and tables of the studies.
    """

    studies: list[Study]
    series: Mapping[str, Series]
    drawings: Drawings

    def narrowed(self, tasks: Sequence[str], trunks: Sequence[str], names: Sequence[str]) -> Plan:
        """Return the part of the plan with these tasks or groups, trunks, and methods, variants or series.

        Raises:
            InputError: the plan lacks one of them.
        """
        found = self.studies
        series = {name: tuple(each.points.values()) for name, each in self.series.items()}
        groups = {name: expand([name]) for name in tasks}
        for key, names_given, means in (("task", tasks, groups), ("trunk", trunks, {}), ("name", names, series)):
            there = dict.fromkeys(getattr(study, key) for study in found)
            chosen: set[str] = set()
            for name in names_given or there:
                meant = there.keys() & means.get(name, (name,))
                if not meant:
                    known = (*there, *(series if key == "name" else ()))
                    raise InputError(f"the plan has no {name!r}; {nearest(name, known)}")
                chosen |= meant
            found = [study for study in found if getattr(study, key) in chosen]
        return replace(self, studies=found)


def plan_of(content: Union[PlanFile, Mapping[str, Any]]) -> Plan:
    """Return the studies of a plan.

    Raises:
        InputError: an unknown key or name, or a wrong value; the message names the place and similar names.
    """
    file = content if isinstance(content, PlanFile) else read(PlanFile, content)
    for key in ("tasks", "trunks", "methods"):
        if not getattr(file, key):
            raise InputError(f"the plan names no {key}; give them as a list under {key!r}, or by --{key}")
    methods = {name: _method(name, method, file) for name, method in file.methods.items()}
    studies = [
        Study(task=task, trunk=trunk, name=name, seeds=file.seeds[benchmark_of(task)], **method)
        for task in expand(file.tasks)
        for trunk in file.trunks
        for name, method in methods.items()
    ]
    return Plan(studies, file.series, Drawings(file.figures, file.tables))


def _method(name: str, method: Method, file: PlanFile) -> dict[str, Any]:
    """Return what the studies of a method or variant have in common."""
    where = f"method {name!r}"
    own = method.grid or {}  # searched only by this method, so that the plan may fix it for the others
    words = {**{key: value for key, value in file.common.items() if key not in own}, **method.words}
    grid = file.grid if method.grid is None else method.grid
    if grid is None:
        grid = {} if "lr" in words else {"lr": FULL_RATES if method.method == "full" else RATES}
    if both := sorted(grid.keys() & words.keys()):
        raise InputError(f"{where}: {', '.join(both)} both fixed and searched; remove it from one of them")
    check_importance(where, method.importance, (*words, *grid), tuple(grid))
    return dict(
        method=method.method,
        words=words,
        cfg_options=(*file.cfg_options, *method.cfg_options),
        amp=file.amp,
        space=Space(grid, sampler=file.sampler, trials=file.trials),
        search_seed=file.search_seed,
        importance=method.importance,
        method_files={path: _sha256(path) for path in method.method.split("+") if is_path(path)},
    )


def _sha256(path: str) -> str:
    return hashlib.sha256(Path(path).expanduser().read_bytes()).hexdigest()


def check_importance(
    where: str, importance: Optional[Mapping[str, Value]], named: Sequence[str], searched: Sequence[str]
) -> None:
    """Check that pruning has importances, and that the run that measures them has a value of each word."""
    if importance is None:
        if asked := [key for key in named if key in PRUNING]:
            raise InputError(
                f"{where}: {asked[0]} needs importances; add importance: {{}}, words of the run that measures them"
            )
        return
    if not {*SHARES} & {*named}:
        raise InputError(f"{where} has importance, but neither {' nor '.join(SHARES)}; name one of them")
    if missing := [key for key in searched if key not in PRUNING and key not in importance]:
        raise InputError(
            f"{where}, importance: {', '.join(missing)} is searched, and the run before the search needs a value: "
            f"importance: {{{missing[0]}: ...}}"
        )
    if counts := [key for key in (*importance, *searched) if key in COUNTS]:
        raise InputError(
            f"{where}: {counts[0]} must be the same in the run that measures importance and in the pruned runs; fix it "
            "among the words of the method"
        )
    if shares := [key for key in importance if key in PRUNING]:
        raise InputError(f"{where}, importance: remove {', '.join(shares)}; that run has all prompts")
