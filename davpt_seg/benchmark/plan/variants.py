"""Methods of a plan: its entries, each with its variants along an axis."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ...errors import InputError
from .fields import number
from .parts import shortened

MOST_VARIANTS = 1_000  # per entry


@dataclass(frozen=True)
class Series:
    """Variants of one method along an axis.

    Args:
        name: name of the entry.
        axis: name of the key that differs, such as ``block``.
        points: names of the variants, by label on the axis.
    """

    name: str
    axis: str
    points: Mapping[str, str]


def methods_of(content: Any, searched: Collection[str]) -> tuple[dict[str, Any], dict[str, Series]]:
    """Return the settings of all methods and variants by name, and the series.

    Args:
        content: value of ``methods``: a list whose entries are a name or ``name: {settings}``, or a mapping.
        searched: words that the command line searches. If there are any, an entry's values of them and its grid are
            ignored, also those of a variant.

    Raises:
        InputError: an entry of another form, a name that appears twice, or variants that are all the same.
    """
    if isinstance(content, Mapping):
        content = [{name: settings} for name, settings in content.items()]
    if not isinstance(content, (list, tuple)):
        raise InputError(f"methods must be a list, got {shortened(content)}")
    methods: dict[str, Any] = {}
    found: dict[str, Series] = {}
    ignored = ("grid", *searched) if searched else ()
    for entry in content:
        (name, settings), *more = entry.items() if isinstance(entry, Mapping) and entry else [(entry, {})]
        settings = {} if settings is None else settings
        if more or not isinstance(name, str) or not isinstance(settings, Mapping):
            form = "'name: {method: davpt, prompts: 4}'"
            raise InputError(f"methods: an entry is a name, or {form}, got {shortened(entry)}")
        settings = _without(ignored, settings)
        variants = _variants(name, settings, ignored) if "over" in settings else {name: {"method": name, **settings}}
        for each in dict.fromkeys([name, *variants]):
            if each in methods or each in found:
                raise InputError(f"methods: {each!r} appears twice; give the variant another name")
        methods.update(variants)
        if "over" in settings:
            ((axis, labels),) = settings["over"].items()
            found[name] = Series(name, str(axis), dict(zip(map(str, labels), variants)))
    return methods, found


def _without(ignored: Collection[str], settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if key not in ignored}


def _variants(name: str, settings: Mapping[str, Any], ignored: Collection[str]) -> dict[str, Any]:
    """Return the settings of an entry's variants by name.

    A label has either text, which replaces ``{AXIS}`` in the entry's settings, or settings, which take precedence over
    the entry's.

    Raises:
        InputError: ``over`` is not one axis with different values, or all variants are the same.
    """
    where, over = f"method {name!r}", settings["over"]
    if not isinstance(over, Mapping) or len(over) != 1:
        example = "{block: [9, 10]}"
        raise InputError(f"{where}: over is one axis with its values, such as {example}, got {shortened(over)}")
    ((axis, values),) = over.items()
    if not isinstance(values, (list, tuple, Mapping)) or not values:
        raise InputError(f"{where}, over {axis}: must be a list of values, or 'label: value', got {shortened(values)}")
    if len(values) > MOST_VARIANTS:
        raise InputError(f"{where}, over {axis}: at most {MOST_VARIANTS:,} values, got {len(values):,}")
    labels = [_text(label, f"{where}, over {axis}") for label in values]
    if len(set(labels)) < len(labels):
        raise InputError(f"{where}, over {axis}: each value once, got {shortened(labels)}")
    shared = {"method": name, **{key: value for key, value in settings.items() if key != "over"}}
    place = f"{{{axis}}}"
    made = {}
    for label, value in zip(labels, values):
        own = values[value] if isinstance(values, Mapping) else value
        if isinstance(own, Mapping):
            own = _without(ignored, own)
            options = [each.get("cfg_options") or () for each in (shared, own)]
            if not all(isinstance(each, (list, tuple)) for each in options):
                raise InputError(f"{where}, over {axis}: cfg_options must be a list, got {shortened(options)}")
            made[f"{name}_{label}"] = {**shared, **own, "cfg_options": [*options[0], *options[1]]}
        else:
            made[f"{name}_{label}"] = _filled(shared, place, _text(own, f"{where}, over {axis}"))
    if len(made) > 1 and all(each == made[f"{name}_{labels[0]}"] for each in made.values()):
        raise InputError(f"{where}: nothing differs over {axis}; write {place} where its value belongs")
    return made


def _text(value: Any, where: str) -> str:
    try:
        if not isinstance(value, bool):
            number(value)
    except InputError:
        raise InputError(f"{where}: must be text, a number or settings, got {shortened(value)}") from None
    return str(value)


def _filled(content: Any, place: str, text: str) -> Any:
    if isinstance(content, str):
        return content.replace(place, text)
    if isinstance(content, Mapping):
        return {key: _filled(value, place, text) for key, value in content.items()}
    return [_filled(value, place, text) for value in content] if isinstance(content, (list, tuple)) else content
