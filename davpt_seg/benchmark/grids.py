"""Grids of a plan: which values or ranges a search has for each name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union

from ..errors import InputError
from .checks import check_keys, check_options
from .space import Range, Space, Value
from .values import word


def space_of(
    grid: Any, fixed: Mapping[str, Value], plan: Mapping[str, Any], words: tuple[str, ...], where: str
) -> Space:
    """Make the space of a search.

    Args:
        grid: of a method or of the plan: values, or ``{low: ..., high: ...}``, by word or by key of the config.
        fixed: words that are not searched.
        plan: that says by which sampler.
        words: that experiments have.
        where: for messages.

    Raises:
        InputError: an unknown word, one that is fixed too, or values that do not fit.
    """
    dotted = [key for key in grid if "." in str(key)] if isinstance(grid, Mapping) else []
    check_keys(grid, (*words, *dotted), f"{where}, grid")
    check_options([f"{key}=" for key in dotted], f"{where}, grid")
    if both := sorted(grid.keys() & fixed.keys()):
        raise InputError(f"{where}: {', '.join(both)} both fixed and searched; take it out of one of them")
    return Space(
        {key: _axis(key, axis, f"{where}, grid {key}") for key, axis in grid.items()},
        sampler=plan.get("sampler", "grid"),
        trials=plan.get("trials"),
    )


def _axis(key: str, axis: Any, where: str) -> Union[tuple[Value, ...], Range]:
    if isinstance(axis, Mapping):
        check_keys(axis, ("low", "high", "log"), where)
        try:
            return Range(float(axis["low"]), float(axis["high"]), bool(axis.get("log", True)))
        except KeyError as error:
            raise InputError(f"{where}: a range needs low and high, {error} is missing") from error
        except (TypeError, ValueError) as error:
            raise InputError(
                f"{where}: low and high must be numbers and low the less, got {dict(axis)} ({error})"
            ) from error
    return tuple(word(key, value, where) for value in (axis if isinstance(axis, (list, tuple)) else [axis]))
