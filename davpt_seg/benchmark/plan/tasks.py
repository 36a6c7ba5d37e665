"""Tasks: the 24 of VTAB-1k and FGVC with their groups, those of segmentation and detection, and their folders."""

from __future__ import annotations

import os
import os.path as osp
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple, Optional

from ...errors import InputError, nearest
from ...experiments.catalog import config_root
from ...experiments.words import CLASSIFICATION, DETECTION, SEGMENTATION

# Read as text, since MMEngine would take seconds: data_root = "{{$CAMVID_ROOT:data/camvid}}", here or in its base.
DATA_ROOT = re.compile(r'^data_root = "(?:\{\{\$(\w+):)?([^"{}]+)(?:\}\})?"', re.MULTILINE)
BASE = re.compile(r'^_base_ = \[?"([\w./]+)"', re.MULTILINE)
DETECTS = re.compile(r"""type=["']?(?:[\w.]+\.)?PackDetInputs\b""")  # as davpt_seg.experiments.detection decides


class DataRoot(NamedTuple):
    """Folder of images: the variable that sets it, if there is one, and the default."""

    variable: Optional[str]
    default: str


class Metric(NamedTuple):
    """Score of a test: its key in ``scores.json``, its name in tables, and the factor to percent."""

    key: str
    name: str
    to_percent: float = 1


METRICS = {
    CLASSIFICATION: Metric("accuracy/top1", "accuracy"),
    SEGMENTATION: Metric("mIoU", "mIoU"),
    DETECTION: Metric("coco/bbox_mAP", "AP", to_percent=100),
}
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
ROOTS = dict(vtab=DataRoot("VTAB_ROOT", "data/vtab-1k"), fgvc=DataRoot("FGVC_ROOT", "data/fgvc"))


def tasks_of(group: str) -> tuple[str, ...]:
    """List the tasks of ``vtab``, ``vtab/natural``, ``vtab/specialized``, ``vtab/structured`` or ``fgvc``."""
    benchmark = group.partition("/")[0]
    groups = [name for name in GROUPS if name == group or name.startswith(f"{group}/")]
    return tuple(f"{benchmark}/{task}" for name in groups for task in GROUPS[name])


def known_tasks() -> tuple[str, ...]:
    """List the 24 tasks of VTAB-1k and FGVC, and those of segmentation and detection."""
    return tasks_of("vtab") + tasks_of("fgvc") + dense_tasks()


def benchmark_of(task: str) -> str:
    """Return ``vtab``, ``fgvc``, ``segmentation`` or ``detection``."""
    folder, slash, _ = task.partition("/")
    if slash or task in GROUPS:
        return folder
    return DETECTION if any(map(DETECTS.search, _texts(task))) else SEGMENTATION


def kind_of(task: str) -> str:
    """Return ``segmentation``, ``classification`` or ``detection``: the task whose words a task's experiments have."""
    benchmark = benchmark_of(task)
    return benchmark if benchmark in METRICS else CLASSIFICATION


def score_of_task(task: str) -> Metric:
    """Return the metric of a task's test."""
    return METRICS[kind_of(task)]


def expand(names: Iterable[str]) -> tuple[str, ...]:
    """Expand groups into tasks, each once, in the order given.

    A custom data set in VTAB's or FGVC's layout is a task, too, if its data exist.

    Raises:
        InputError: an unknown name; the message holds the closest known one.
    """
    tasks: list[str] = []
    for name in names:
        tasks += tasks_of(name) or [_checked(name)]
    return tuple(dict.fromkeys(tasks))


def _checked(name: str) -> str:
    own = bool(name.partition("/")[2]) and benchmark_of(name) in ROOTS  # of VTAB's or FGVC's layout
    folder = data_folder(name) if own else None
    if name in known_tasks() or (folder is not None and osp.isdir(folder)):
        return name
    known = ("vtab", *GROUPS, *known_tasks())
    where = f" (nor is there {folder})" if folder else ""
    raise InputError(f"there is no task {name!r}{where}; {nearest(name, known)}")


def data_variable(task: str) -> Optional[str]:
    """Return the variable that sets the folder of a task's images; None if its config has none."""
    benchmark = benchmark_of(task)
    if benchmark in ROOTS:
        return ROOTS[benchmark].variable
    root = data_root(task)
    return root.variable if root else None


def data_folder(task: str) -> Optional[Path]:
    """Return the folder of a task's images; None if its config does not set it in a known form."""
    benchmark, _, name = task.partition("/")
    root = ROOTS.get(benchmark) or data_root(task)
    if root is None:
        return None
    folder = Path(os.environ.get(root.variable or "", root.default))
    if benchmark not in ROOTS:
        return folder
    return folder / (FGVC_FOLDERS.get(name, name) if benchmark == "fgvc" else name)


def missing_data(tasks: Iterable[str], others: str = "--tasks") -> Iterator[str]:
    """Yield a message for tasks whose folder is missing, with the variable to set.

    Args:
        tasks: tasks of a plan.
        others: option that chooses other tasks.
    """
    folders = {task: data_folder(task) for task in tasks}
    missing = {task: folder for task, folder in folders.items() if folder is not None and not osp.isdir(folder)}
    if missing:
        variables = dict.fromkeys(filter(None, map(data_variable, missing)))
        unset = [name for name in variables if name not in os.environ]
        about = f" ({', '.join(unset)} not set; looked in {os.getcwd()})" if unset else ""
        how = f"Set {', '.join(variables)} to their folder{about}" if variables else "Put them there"
        named = ", ".join(f"{task} ({folder})" for task, folder in missing.items())
        yield f"no data of {named}. {how}, or choose others by {others}"


def dense_tasks() -> tuple[str, ...]:
    """List the tasks of segmentation and detection, with those that a user added."""
    return tuple(sorted(path.stem for path in _folder().glob("*.py") if not path.stem.endswith("base")))


def data_root(task: str) -> Optional[DataRoot]:
    """Return the folder that a task's config sets for its images; None if it has no known form."""
    found = next(filter(None, map(DATA_ROOT.search, _texts(task))), None)
    return DataRoot(found[1], found[2]) if found else None


def _texts(task: str) -> Iterator[str]:
    """Yield the text of a task's data part, and those of its bases."""
    path = _folder() / f"{task}.py"
    while path.is_file():
        text = path.read_text()
        yield text
        base = BASE.search(text)
        if base is None:
            return
        path = path.parent / base[1]


def _folder() -> Path:
    return config_root() / "_base_" / "datasets"
