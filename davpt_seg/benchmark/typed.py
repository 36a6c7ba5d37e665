"""What of a plan is typed on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Mapping
from typing import Any

from ..errors import InputError


def typed_keys(args: argparse.Namespace, plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of a plan that the command line replaces.

    Args:
        args: the command line.
        plan: as its file has it.

    Raises:
        InputError: what is no ``KEY=VALUE``.
    """
    typed: dict[str, Any] = {key: getattr(args, key) for key in ("sampler", "trials", "amp")}
    if args.seeds:
        typed["seeds"] = args.seeds[0] if len(args.seeds) == 1 else args.seeds
    if args.set:
        pairs = dict(_pair(word, "--set") for word in args.set)
        typed["common"] = {**(plan.get("common") or {}), **pairs}
    if args.grid:
        typed["grid"] = {key: _axis(values) for key, values in (_pair(word, "--grid") for word in args.grid)}
        methods = plan.get("methods") or ()
        if isinstance(methods, Mapping):
            methods = [{name: own} for name, own in methods.items()]
        typed["methods"] = [_without(entry, ("grid", *typed["grid"])) for entry in methods]
        common = typed.get("common", plan.get("common")) or {}
        typed["common"] = {key: value for key, value in common.items() if key not in typed["grid"]}
    return {key: value for key, value in typed.items() if value is not None}


def _without(entry: Any, keys: Collection[str]) -> Any:
    """Take from a method its own grid, and its own values of what the command line's grid searches."""
    if not isinstance(entry, Mapping):
        return entry
    return {name: {key: own[key] for key in own or () if key not in keys} for name, own in entry.items()}


def _pair(word: str, option: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not (equals and key and value):
        raise InputError(f"{option}: {word!r} is no KEY=VALUE")
    return key, value


def _axis(values: str) -> Any:
    """Read ``1e-3,1e-2`` as values and ``1e-4:1e-2`` as a range on a logarithmic scale."""
    low, colon, high = values.partition(":")
    return dict(low=low, high=high) if colon else values.split(",")
