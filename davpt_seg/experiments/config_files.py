"""Reading of config files, with old arguments of guidance moved to their current places."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from mmengine.config import Config, ConfigDict
from yaml import YAMLError

from ..core.guidance.old_guidance import current_guidance, old_arguments
from .environment import read_with_variables

UNREADABLE = (  # errors of running a wrong Python file, or of parsing YAML
    *(SyntaxError, OSError, ImportError, NameError, TypeError, ValueError, YAMLError),
    *(AttributeError, LookupError, ArithmeticError, AssertionError, RuntimeError, SystemExit),
)


def read_file(path: Union[str, os.PathLike[str]]) -> Config:
    """Read a config file. Old arguments of guidance override current ones of its ``_base_`` files, and the reverse.

    MMEngine merges by name, so an old argument of a file would not replace the current one of its base, and
    ``metric="triplet"`` would replace all of ``metric=dict(...)``.

    Raises:
        InputError: a file sets an argument by its old and by its current name.
    """
    cfg = read_with_variables(path)
    for place, backbone in _guided(cfg.get("model")):
        if old_arguments(backbone["guidance"]):
            backbone["guidance"] = ConfigDict(_guidance(os.fspath(path), place))
    return cfg


def use_current_guidance(model: Any) -> None:
    """Move old arguments of guidance in a config's model to their current places.

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
    """Return the guidance at a place of a file's model, where the file overrides its bases."""
    merged = _raw(path, place)
    for base in Config._get_base_files(path):
        base, _ = Config._get_cfg_path(base, path)
        inherited = _raw(base, place)
        if inherited:
            return _over(inherited, _guidance(base, place), merged)
    return current_guidance(merged)


def _raw(path: str, place: Sequence[Any]) -> dict[str, Any]:
    """Return the guidance at a place of a file's model as MMEngine merges it; empty if there is none."""
    return next(
        (dict(found["guidance"]) for at, found in _guided(read_with_variables(path).get("model")) if at == place), {}
    )


def _over(inherited: Mapping[str, Any], current: Mapping[str, Any], merged: Mapping[str, Any]) -> dict[str, Any]:
    """Apply a file's changes of inherited guidance to its current form."""
    if inherited.keys() - merged.keys():  # the file has _delete_=True
        return current_guidance(merged)
    own: dict[str, Any] = {}
    kept = dict(current)
    for name, value in merged.items():
        before = inherited.get(name)
        if isinstance(value, Mapping) and name in inherited:
            if not isinstance(before, Mapping) or before.keys() - value.keys():  # _delete_=True, too
                before = {}
                kept.pop(name, None)
            own[name] = {key: each for key, each in value.items() if key not in before or before[key] != each}
        elif name not in inherited or value != before:
            own[name] = value
    for name, value in current_guidance({name: value for name, value in own.items() if value != {}}).items():
        kept[name] = {**kept.get(name, {}), **value} if isinstance(value, Mapping) else value
    return kept
