"""Segmentation tasks: the files of ``configs/_base_/datasets`` that lie in no folder, and where their images lie."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple, Optional

from ..experiments.catalog import config_root

# Read as text, since MMEngine would take seconds: data_root = "{{$CAMVID_ROOT:data/camvid}}", here or in its base.
DATA_ROOT = re.compile(r'^data_root = "(?:\{\{\$(\w+):)?([^"{}]+)(?:\}\})?"', re.MULTILINE)
BASE = re.compile(r'^_base_ = \[?"([\w./]+)"', re.MULTILINE)


class DataRoot(NamedTuple):
    """A folder of images: the variable that says where it is, if there is one, and the default."""

    variable: Optional[str]
    default: str


def segmentation_tasks() -> tuple[str, ...]:
    """List them, those that a user has put there included."""
    return tuple(sorted(path.stem for path in _folder().glob("*.py") if not path.stem.endswith("base")))


def data_root(task: str) -> Optional[DataRoot]:
    """Return where a task's config says that its images are; None where it says so in no form that is known."""
    path = _folder() / f"{task}.py"
    while path.is_file():
        text = path.read_text()
        found = DATA_ROOT.search(text)
        if found:
            return DataRoot(found[1], found[2])
        base = BASE.search(text)
        if base is None:
            break
        path = path.parent / base[1]
    return None


def _folder() -> Path:
    return config_root() / "_base_" / "datasets"
