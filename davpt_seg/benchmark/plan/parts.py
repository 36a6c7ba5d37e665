"""Mappings of a plan, and messages about wrong keys and values."""

from __future__ import annotations

import reprlib
from collections.abc import Collection, Mapping
from typing import Any, TypeVar, Union

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ...errors import InputError, nearest
from ...experiments.words import BY_RUNNER

EXPECTED = {
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a text",
    "dict_type": "a mapping",
    "none_required": "beside a name in the list of methods",
}
ITEMS = {"methods": "method", "figures": "figure", "tables": "table"}
LONGEST = 255  # bytes of a folder's name
M = TypeVar("M", bound="Part")
_REPR = reprlib.Repr()
_REPR.maxlevel, _REPR.maxdict, _REPR.maxlist, _REPR.maxstring, _REPR.maxother = 4, 8, 8, 120, 120


class Part(BaseModel):
    """Mapping in a plan. Unknown keys are refused; a key without a value counts as absent."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True, allow_inf_nan=False, defer_build=True)

    @model_validator(mode="before")
    @classmethod
    def _known(cls, content: Any) -> Any:
        check_keys(content, cls.model_fields)
        return {key: value for key, value in content.items() if value is not None}


def read(model: type[M], content: Any, name: str = "", searched: Collection[str] = ()) -> M:
    """Read a mapping of a plan.

    Args:
        model: type of the mapping.
        content: mapping as YAML reads it.
        name: name for messages; a plan by default.
        searched: keys that the command line searches; methods then neither fix nor search them.

    Raises:
        InputError: a key or value is wrong; the message names the first one.
    """
    try:
        return model.model_validate(content, context={"searched": searched})
    except ValidationError as error:
        raise InputError(_message(error, name)) from None


def _message(refused: ValidationError, name: str) -> str:
    """Return a sentence that starts with the place: ``method 'x', grid lr must be ...``."""
    error = refused.errors(include_url=False)[0]
    loc, got = error["loc"], shortened(error["input"])
    if error["type"] == "missing":
        return f"{_place(loc[:-1], name) or 'the plan'} needs {loc[-1]!r}, got {got}"
    place = _place(loc, name)
    if error["type"] != "value_error":
        expected = EXPECTED.get(error["type"])
        return f"{place or 'the plan'}{f' must be {expected}' if expected else ': ' + error['msg']}, got {got}"
    text = str(error["ctx"]["error"])
    if text.startswith(("must ", "has ")):
        return f"{place or 'the plan'} {text}"
    return f"{place}: {text}" if place else text


def _place(loc: tuple[Union[int, str], ...], name: str) -> str:
    """Describe a place in the tree of a plan; empty for its root."""
    if loc and loc[-1] == "[key]":  # pydantic's sign for a wrong key
        loc = loc[: -2 if len(loc) > 3 else -1]
    i = 2 if loc and loc[0] == "methods" else 0
    if loc[i : i + 1] == ("grid",):  # ("grid", key, type of the axis, ...)
        loc = loc[: i + 2] + loc[i + 3 :]
    parts = [part[:LONGEST] for part in loc if isinstance(part, str)]
    if i and parts[2:] == ["words"]:
        parts.pop()
    if len(parts) > 1 and parts[0] in ITEMS:
        parts[:2] = [f"{ITEMS[parts[0]]} {parts[1]!r}"]
    return ", ".join([name] * bool(name) + parts).replace("grid, ", "grid ")


def shortened(value: Any) -> str:
    """Return a value as text, cut where it is long."""
    try:
        return _REPR.repr(value)
    except ValueError:  # Python writes no integer of thousands of digits
        return "a very long number"


def check_keys(content: Any, known: Collection[str]) -> None:
    """Refuse content that is no mapping, and unknown keys.

    Raises:
        InputError: no mapping, or an unknown key; the message holds the nearest known key.
    """
    if not isinstance(content, Mapping):
        raise InputError(f"must be a mapping, got {shortened(content)}")
    for key in content:
        if key not in known and key in BY_RUNNER:
            raise InputError(f"{key!r} is set by the runner: it chooses on split=choose, tests on split=final")
        if key not in known:
            raise InputError(f"has no {shortened(key)}; {nearest(key, known)}")
