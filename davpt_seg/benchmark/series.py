"""Series of variants: one entry of a plan's methods that stands for several, told apart along an axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import InputError
from .values import list_of


@dataclass(frozen=True)
class Series:
    """Variants of one method along an axis.

    Args:
        name: of the entry.
        axis: what differs: ``block``.
        points: the variants' names, by label on the axis.
    """

    name: str
    axis: str
    points: Mapping[str, str]


def entries(methods: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield names and settings of the methods' list, whose entries are a name or ``name: {settings}``.

    Raises:
        InputError: an entry of another form, or a name that is there twice.
    """
    names: set[str] = set()
    if not isinstance(methods, Mapping):
        methods = list_of(methods, "methods")
    for entry in methods.items() if isinstance(methods, Mapping) else methods:
        if isinstance(entry, Mapping) and len(entry) == 1:
            entry = next(iter(entry.items()))
        name, settings = (entry, {}) if isinstance(entry, str) else entry if isinstance(entry, tuple) else (None, None)
        if not isinstance(name, str) or not isinstance(settings or {}, Mapping):
            raise InputError(f"methods: an entry is a name, or 'name: {{method: davpt, prompts: 4}}', got {entry!r}")
        if name in names:
            raise InputError(f"methods: {name!r} is there twice; give the variant a name of its own")
        names.add(name)
        yield name, settings or {}


def series_of(name: str, settings: Mapping[str, Any]) -> Series:
    """Read the axis of an entry with ``over``.

    Raises:
        InputError: ``over`` is not one axis with values.
    """
    over = settings["over"]
    if not isinstance(over, Mapping) or len(over) != 1:
        raise InputError(f"method {name!r}: over is one axis with its values, such as {{block: [9, 10]}}, got {over!r}")
    ((axis, values),) = over.items()
    if not isinstance(values, (list, tuple, Mapping)) or not values:
        raise InputError(f"method {name!r}, over {axis}: a list of values, or 'label: value', got {values!r}")
    labels = [str(label) for label in values]
    if len(set(labels)) < len(labels):
        raise InputError(f"method {name!r}, over {axis}: each value once, got {labels}")
    return Series(name, str(axis), {label: f"{name}_{label}" for label in labels})


def variants(name: str, settings: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield names and settings of an entry's variants; of one without ``over`` itself.

    What stands by a label is either text, which takes the place of ``{AXIS}`` in the entry's settings, or settings,
    which are put over the entry's.

    Raises:
        InputError: see :func:`series_of`; or the variants would all be the same.
    """
    if "over" not in settings:
        yield name, settings
        return
    series = series_of(name, settings)
    values = settings["over"][series.axis]
    shared = {"method": name, **{key: value for key, value in settings.items() if key != "over"}}
    place = "{" + series.axis + "}"
    made = []
    for label, value in zip(series.points, values):
        own = values[value] if isinstance(values, Mapping) else value
        if isinstance(own, Mapping):
            options = list_of(shared.get("cfg_options"), name) + list_of(own.get("cfg_options"), name)
            made.append({**shared, **own, **({"cfg_options": options} if options else {})})
        else:
            made.append(_filled(shared, place, str(own)))
        yield series.points[label], made[-1]
    if len(made) > 1 and all(each == made[0] for each in made):
        raise InputError(f"method {name!r}: nothing differs over {series.axis}; write {place} where its value belongs")


def _filled(content: Any, place: str, text: str) -> Any:
    if isinstance(content, str):
        return content.replace(place, text)
    if isinstance(content, Mapping):
        return {key: _filled(value, place, text) for key, value in content.items()}
    return [_filled(value, place, text) for value in content] if isinstance(content, (list, tuple)) else content
