"""Environment variables that set folders of configs, for messages about folders that are missing."""

from __future__ import annotations

import os
import os.path as osp
from typing import NamedTuple, Optional

DEFAULTS: dict[str, str] = {}  # by the variables of all config files that this process has read


class Source(NamedTuple):
    """Variable that sets a value of a config.

    Attributes:
        name: the variable's name.
        value: in the environment; None if it is not set.
        default: the config's default.
    """

    name: str
    value: Optional[str]
    default: str


def source_of(folder: str) -> Optional[Source]:
    """Return the variable that sets a folder of a config which was read; None for other folders.

    Args:
        folder: such as ``data_root``; the variable may set the beginning of it.
    """
    for name, default in DEFAULTS.items():
        value = os.environ.get(name)
        root = (default if value is None else value).rstrip("/")
        if root and (osp.normpath(folder) + os.sep).startswith(osp.normpath(root) + os.sep):
            return Source(name, value, default)
    return None


def about_root(folder: str) -> str:
    """Describe the variable that sets a folder, and what to do; empty for a folder that no variable sets."""
    source = source_of(folder)
    if source is None:
        return ""
    if source.value is None:
        return (
            f"the environment variable {source.name} is not set, so that the default {source.default!r} is looked for "
            f"in {os.getcwd()}. Set it before the command, {source.name}=FOLDER (docs/data.md)"
        )
    where = "" if osp.isabs(source.value) else f", looked for in {os.getcwd()}"
    value = f"the environment variable {source.name} is {source.value!r}{where}"
    return f"{value}. Set it to the right folder (docs/data.md)"
