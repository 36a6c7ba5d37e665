"""JSON of a stranger: plain values, limited in size, depth and length of numbers; no key twice, no NaN."""

from __future__ import annotations

import json
import math
from typing import Any

from ...errors import InputError

MOST_NESTED = 32
LONGEST_NUMBER = 40


def parse(content: bytes, what: str) -> dict[str, Any]:
    """Return the object that a JSON text holds. The caller limits the text's length.

    Args:
        content: UTF-8.
        what: its name, for messages.

    Raises:
        InputError: no JSON, no object, or one that nests too deep, has a key twice, or holds NaN, infinity or numbers
            of many digits.
    """
    try:
        found = json.loads(
            content.decode(), object_pairs_hook=_once, parse_int=_integer, parse_float=_finite, parse_constant=_finite
        )
        _check_depth([found])
    except (RecursionError, ValueError) as error:  # of JSON, of text and of numbers
        raise InputError(f"{what} is not valid JSON: {error}; it is damaged or crafted, get it again") from error
    if not isinstance(found, dict):
        raise InputError(f"{what} must hold a JSON object, got {type(found).__name__}; it is damaged, get it again")
    return found


def _check_depth(found: Any) -> None:
    level = [found]
    for _ in range(MOST_NESTED + 1):
        inside = [each.values() if isinstance(each, dict) else each for each in level]
        level = [entry for entries in inside for entry in entries if isinstance(entry, (dict, list))]
        if not level:
            return
    raise ValueError(f"it nests more than {MOST_NESTED} brackets")


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return found


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError(f"a number has {len(text):,} digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text) if len(text) <= LONGEST_NUMBER else math.inf
    if not math.isfinite(value):
        raise ValueError(f"{text[:LONGEST_NUMBER]} is no finite number")
    return value
