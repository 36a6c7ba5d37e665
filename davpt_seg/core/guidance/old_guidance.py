"""Arguments of guidance in configs up to version 0.3, which were all on one level."""

from __future__ import annotations

import functools
import logging
from collections.abc import Mapping
from typing import Any

from ...errors import InputError

logger = logging.getLogger("davpt_seg")

GROUPS = ("mapping", "metric")
#: Current place of each old argument. ``mapping`` and ``metric`` were strings, which are now their ``kind``.
PLACES = {
    "mapping": ("mapping", "kind"),
    "metric": ("metric", "kind"),
    **{name: ("mapping", name) for name in ("seed", "class_means")},
    **{name: ("labelling", name) for name in ("labels", "purity", "ignore_index")},
    **{
        name: ("metric", name)
        for name in (
            *("prompt_side", "token_side", "cls_side", "patch_tokens", "image_token", "cls_proxies"),
            *("scale", "margin", "prompt_scale", "divisor", "heads"),
        )
    },
}


def current_guidance(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config of guidance with old arguments in their current places.

    Old arguments give a warning, once per process and set of arguments.

    Raises:
        InputError: an old argument and the current one are both set.
    """
    old = old_arguments(config)
    found = {name: value for name, value in config.items() if name not in old}
    for name, value in old.items():
        group, key = PLACES[name]
        own = found.get(group, {})
        if not isinstance(own, Mapping):
            raise InputError(f"guidance {group} must be a dict of arguments, got {own!r}; write {group}=dict(...)")
        if key in own:
            raise InputError(
                f"guidance has {name}={value!r}, as up to version 0.3, and {group}=dict({key}={own[key]!r}), which set "
                f"the same argument. Replace {name}={value!r} by {group}=dict({key}={value!r}) where it is to apply; "
                f"omit {name} otherwise"
            )
        found[group] = {**own, key: value}
    if old:
        _warn(tuple(old))
    return found


def old_arguments(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that a config of guidance sets by their old names."""
    given = {name: config[name] for name in PLACES if name in config}
    return {name: value for name, value in given.items() if name not in GROUPS or isinstance(value, str)}


def current_option(key: str) -> str:
    """Return the current name of an option such as ``model.backbone.guidance.prompt_side``; others stay."""
    before, dot, name = key.rpartition(".")
    if dot and before.endswith("backbone.guidance") and name in PLACES:
        return ".".join((before, *PLACES[name]))
    return key


@functools.cache
def _warn(names: tuple[str, ...]) -> None:
    groups: dict[str, list[str]] = {}
    for name in names:
        group, key = PLACES[name]
        groups.setdefault(group, []).append(f"{key}=...")
    current = ", ".join(f"{group}=dict({', '.join(keys)})" for group, keys in groups.items())
    strings = " and ".join(f"{name}='...'" for name in GROUPS if name in names)
    logger.warning(
        "guidance %s: arguments of guidance were grouped after version 0.3; these still work. "
        "Write guidance=dict(%s).%s",
        ", ".join(names),
        current,
        strings and f" In tools other than davpt-seg's, {strings} replace all that _base_ files set there.",
    )
