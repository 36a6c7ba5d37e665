"""Parser of words' values, and the name of an experiment."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import InputError
from .words import Word

DIGITS = 12  # largest number of digits of an integer; no training has that many steps
LONGEST_NAME = 200  # bytes of the config's file name in the work dir; file systems allow 255


def parse(word: Word, text: str) -> Any:
    """Parse the value of a word.

    Raises:
        InputError: the text is no valid value; the message describes the expected ones.
    """
    if word.kind is str:
        if word.choices and text not in word.choices:
            raise InputError(f"{word.name}={text}: expected one of {', '.join(word.choices)}")
        return text
    try:
        if word.kind is float:
            plain = text.isascii() and not re.search(r"[\s_]", text)  # float() ignores them, but names would keep them
        else:
            plain = text.isascii() and text.isdecimal() and len(text) <= DIGITS
        value = word.kind(text) if plain else -1
    except ValueError:
        value = -1
    if not word.least <= value < word.below or (word.above and value == word.least):
        digits = f", of {DIGITS} digits or fewer" if word.kind is int and len(text) > DIGITS else ""
        raise InputError(f"{word.name}={text[:LONGEST_NAME]}: expected {word.values}{digits}")
    return value


def name_of(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """Name an experiment's file by its parts and their changes, unique for each experiment."""
    name = "_".join([*parts, *(f"{key}={value}" for key, value in changes.items())])
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name
