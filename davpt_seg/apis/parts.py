"""The files of ``configs/_base_`` that experiments are composed of."""

from __future__ import annotations

from pathlib import Path

from mmengine.config import Config

from ..errors import InputError, nearest
from ..packaged_configs import config_root
from .methods import joined_methods


def merged_parts(model: str, data: str, schedule: str, method: str, runtime: str) -> Config:
    """Put the files of an experiment's parts over each other.

    Args:
        model, data, schedule, runtime: files of the folders ``models``, ``datasets``, ``schedules``, ``runtime``.
        method: a file of ``methods``, or several, joined by ``+``.

    Raises:
        InputError: an unknown part, and the message lists the known ones; or methods that do not join.
    """
    folder = config_root() / "_base_"
    cfg = Config({})
    for kind, part in (("models", model), ("datasets", data), ("schedules", schedule), ("runtime", runtime)):
        cfg.merge_from_dict(Config.fromfile(_part(folder / kind, part)).to_dict())
    contents = {name: Config.fromfile(_part(folder / "methods", name)).to_dict() for name in method.split("+")}
    cfg.merge_from_dict(joined_methods(method, contents))
    return cfg


def _part(folder: Path, name: str) -> Path:
    path = folder / f"{name}.py"
    parts = (file.relative_to(folder).with_suffix("").as_posix() for file in folder.rglob("*.py"))
    known = sorted(part for part in parts if not part.endswith("base"))
    if name not in known:
        raise InputError(f"there is no {name!r} in {folder}; {nearest(name, known)}")
    return path
