"""Narrows a plan to what the command line names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Optional

from ..errors import InputError, nearest
from .series import Series
from .study import Study
from .tasks import expand


def narrow(
    found: list[Study], key: str, wanted: Optional[Sequence[str]], series: Optional[Mapping[str, Series]] = None
) -> list[Study]:
    """Keep the studies that the command line names: ``key`` is ``task``, ``trunk`` or ``name``.

    Args:
        found: studies of the plan.
        key, wanted: names of tasks or groups, of trunks, or of methods, variants or series.
        series: of the plan, each of which stands for its variants.

    Raises:
        InputError: the plan has no such.
    """
    if not wanted:
        return found
    there = tuple(dict.fromkeys(getattr(study, key) for study in found))
    stand_for = {name: tuple(each.points.values()) for name, each in (series or {}).items()} if key == "name" else {}
    chosen: list[str] = []
    for name in wanted:
        means = expand([name]) if key == "task" else stand_for.get(name, (name,))
        meant = [each for each in means if each in there]
        if not meant:
            raise InputError(f"the plan has no {name!r}; {nearest(name, (*there, *stand_for))}")
        chosen += meant
    return [study for study in found if getattr(study, key) in chosen]
