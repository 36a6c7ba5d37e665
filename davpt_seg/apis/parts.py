"""The files of ``configs/_base_`` that experiments are composed of."""

from __future__ import annotations

import difflib
from pathlib import Path

from mmengine.config import Config

from ..packaged_configs import config_root
from .methods import joined_methods


class CompositionError(ValueError):
    """Parts that do not exist or do not fit; the message names those that do."""


def merged_parts(model: str, data: str, schedule: str, method: str, runtime: str) -> Config:
    """Put the files of an experiment's parts over each other.

    Args:
        model, data, schedule, runtime: files of the folders ``models``, ``datasets``, ``schedules``, ``runtime``.
        method: a file of ``methods``, or several, joined by ``+``.

    Raises:
        CompositionError: an unknown part, and the message lists the known ones; or methods that do not join.
    """
    folder = config_root() / "_base_"
    cfg = Config({})
    for kind, part in (("models", model), ("datasets", data), ("schedules", schedule), ("runtime", runtime)):
        cfg.merge_from_dict(Config.fromfile(_part(folder / kind, part)).to_dict())
    contents = {name: Config.fromfile(_part(folder / "methods", name)).to_dict() for name in method.split("+")}
    try:
        cfg.merge_from_dict(joined_methods(method, contents))
    except ValueError as error:
        raise CompositionError(str(error)) from error
    return cfg


def _part(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    parts = (file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.py"))
    known = sorted(part for part in parts if not part.endswith("base"))
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        raise CompositionError(
            f"there is no {name!r} in {folder}"
            + (f"; did you mean {near[0]!r}?" if near else "")
            + f" Known: {', '.join(known)}"
        )
    return path
