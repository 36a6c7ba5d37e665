"""The 24 tasks, their groups, and where their images lie."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from .errors import PlanError

GROUPS: dict[str, tuple[str, ...]] = {
    "vtab/natural": ("caltech101", "cifar", "dtd", "oxford_flowers102", "oxford_iiit_pet", "svhn", "sun397"),
    "vtab/specialized": ("patch_camelyon", "eurosat", "resisc45", "diabetic_retinopathy"),
    "vtab/structured": (
        *("clevr_count", "clevr_dist", "dmlab", "kitti"),
        *("dsprites_loc", "dsprites_ori", "smallnorb_azi", "smallnorb_ele"),
    ),
    "fgvc": ("cub", "nabirds", "flowers", "dogs", "cars"),
}
FGVC_FOLDERS = dict(
    cub="CUB_200_2011", nabirds="nabirds", flowers="OxfordFlower", dogs="Stanford-dogs", cars="Stanford-cars"
)
ROOTS = dict(vtab=("VTAB_ROOT", "data/vtab-1k"), fgvc=("FGVC_ROOT", "data/fgvc"))


def tasks_of(group: str) -> tuple[str, ...]:
    """List the tasks of ``vtab``, ``vtab/natural``, ``vtab/specialized``, ``vtab/structured`` or ``fgvc``."""
    benchmark = group.partition("/")[0]
    groups = [name for name in GROUPS if name == group or name.startswith(f"{group}/")]
    return tuple(f"{benchmark}/{task}" for name in groups for task in GROUPS[name])


def known_tasks() -> tuple[str, ...]:
    """List all 24 tasks."""
    return tasks_of("vtab") + tasks_of("fgvc")


def benchmark_of(task: str) -> str:
    """Return ``vtab`` or ``fgvc``."""
    return task.partition("/")[0]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Turn groups and tasks into tasks, each once, in the order given.

    A task that is none of the 24 is taken where its data are there: a data set of one's own in the same layout.

    Raises:
        PlanError: an unknown name; the message holds the closest known one.
    """
    tasks: list[str] = []
    for name in names:
        tasks += tasks_of(name) or [_checked(name)]
    return tuple(dict.fromkeys(tasks))


def _checked(name: str) -> str:
    if name in known_tasks() or (name.partition("/")[2] and benchmark_of(name) in ROOTS and data_folder(name).is_dir()):
        return name
    known = ("vtab", *GROUPS, *known_tasks())
    where = f" (nor is there {data_folder(name)})" if benchmark_of(name) in ROOTS else ""
    raise PlanError(f"there is no task {name!r}{where}{did_you_mean(name, known)}")


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """End a sentence about an unknown name with the closest known one, or with all of them."""
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def data_folder(task: str) -> Path:
    """Return where a task's images are looked for: below VTAB_ROOT or FGVC_ROOT."""
    benchmark, _, name = task.partition("/")
    variable, default = ROOTS[benchmark]
    return Path(os.environ.get(variable, default)) / (FGVC_FOLDERS.get(name, name) if benchmark == "fgvc" else name)


def check_data(tasks: Iterable[str]) -> None:
    """Look for the folder of each task.

    Raises:
        PlanError: some are not there; the message names them.
    """
    missing = [f"{task} ({data_folder(task)})" for task in tasks if not data_folder(task).is_dir()]
    if missing:
        raise PlanError(
            f"no data of {', '.join(missing)}. Say where they are by the variables VTAB_ROOT and FGVC_ROOT, or choose "
            "others by --tasks"
        )
