"""Values in a plan: of YAML, or typed."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..errors import InputError
from .space import Value


def number(value: Any) -> Value:
    """Read a value; YAML takes ``1e-3`` for a string, and wants ``1.0e-3``."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise InputError(f"a value must be a number or a word, got {value!r}")
    for kind in (int, float):
        try:
            return kind(value) if isinstance(value, str) else value
        except ValueError:
            continue
    return value


def word(key: str, value: Any, where: str) -> Value:
    """Read a value of a word, which must not bring further words (``1e-3,split=final``); of a config's key, any."""
    read = number(value)
    if "." not in key and not re.fullmatch(r"[\w.+-]+", str(read)):
        raise InputError(f"{where}: {value!r} is no value of {key}")
    return read


def list_of(value: Any, where: str) -> tuple[Any, ...]:
    """Return a list, empty where there is none.

    Raises:
        InputError: something else is there.
    """
    if value is not None and not isinstance(value, (list, tuple)):
        raise InputError(f"{where} must be a list, got {value!r}")
    return tuple(value or ())


def of_type(kind: type, plan: Mapping[str, Any], key: str, default: Any) -> Any:
    """Return a plan's value of exactly one type: neither ``"no"`` for a truth value, nor ``true`` for a number.

    Raises:
        InputError: it has another.
    """
    value = plan.get(key, default)
    if type(value) is not kind:
        raise InputError(f"{key} must be {'true or false' if kind is bool else 'a whole number'}, got {value!r}")
    return value
