"""Config files, with old arguments of guidance in their current places."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from mmengine.config import Config, ConfigDict

from ..core.guidance.old_guidance import current_guidance, old_arguments

UNREADABLE = (  # what running a file of Python raises where the file is wrong
    *(SyntaxError, OSError, ImportError, NameError, TypeError, ValueError),
    *(AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError),
)


def read_file(path: Union[str, os.PathLike[str]]) -> Config:
    """Read a config file. Old arguments of guidance go over the current ones of its ``_base_`` files, and vice versa.

    MMEngine merges by name, so that an old argument of a file would leave the current one of its base beside it, and
    ``metric="triplet"`` would replace all of ``metric=dict(...)``.

    Raises:
        InputError: a file sets an argument by its old and by its current name.
    """
    cfg = Config.fromfile(path)
    for place, backbone in _guided(cfg.get("model")):
        if old_arguments(backbone["guidance"]):
            backbone["guidance"] = ConfigDict(_guidance(os.fspath(path), place))
    return cfg


def use_current_guidance(model: Any) -> None:
    """Put old arguments of guidance in a config's model in their current places.

    Raises:
        InputError: an argument is set by its old and by its current name.
    """
    for _, backbone in _guided(model):
        backbone["guidance"] = ConfigDict(current_guidance(backbone["guidance"]))


def _guided(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Find the backbones below a node that have guidance, and the keys that lead to them."""
    if isinstance(node, dict):
        if place[-1:] == ("backbone",) and isinstance(node.get("guidance"), Mapping):
            yield place, node
        for key, child in list(node.items()):
            yield from _guided(child, (*place, key))
    elif isinstance(node, (list, tuple)):
        for i, child in enumerate(node):
            yield from _guided(child, (*place, i))


def _guidance(path: str, place: Sequence[Any]) -> dict[str, Any]:
    """Return the guidance at a place of a file's model: what the file sets goes over what its bases set."""
    merged = _raw(path, place)
    for base in Config._get_base_files(path):
        base, _ = Config._get_cfg_path(base, path)
        inherited = _raw(base, place)
        if inherited:
            return _over(inherited, _guidance(base, place), merged)
    return current_guidance(merged)


def _raw(path: str, place: Sequence[Any]) -> dict[str, Any]:
    """Return the guidance at a place of a file's model as MMEngine merges it; empty where there is none."""
    return next(
        (dict(found["guidance"]) for at, found in _guided(Config.fromfile(path).get("model")) if at == place), {}
    )


def _over(inherited: Mapping[str, Any], current: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a file changed of inherited guidance over the current form of that."""
    if inherited.keys() - merged.keys():  # the file has _delete_=True
        return current_guidance(merged)
    own: dict[str, Any] = {}
    kept = dict(current)
    for name, value in merged.items():
        before = inherited.get(name)
        if isinstance(value, Mapping) and name in inherited:
            if not isinstance(before, Mapping) or before.keys() - value.keys():  # likewise
                before = {}
                kept.pop(name, None)
            own[name] = {key: each for key, each in value.items() if key not in before or before[key] != each}
        elif name not in inherited or value != before:
            own[name] = value
    for name, value in current_guidance({name: value for name, value in own.items() if value != {}}).items():
        kept[name] = {**kept.get(name, {}), **value} if isinstance(value, Mapping) else value
    return kept
