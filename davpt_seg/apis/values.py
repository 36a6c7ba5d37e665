"""The words of an experiment that are values: numbers out of them, and a name."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping

from ..errors import InputError
from .hyperparameters import DIGITS

LONGEST_NAME = 200  # of the config that is written into the work dir; file systems take 255


def whole(name: str, text: str, least: int = 1) -> int:
    """Read a whole number.

    Raises:
        InputError: the text is none, or too small a one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= DIGITS and int(text) >= least):
        raise InputError(
            f"{name}={text[:LONGEST_NAME]}: expected an integer of at least {least}, of {DIGITS} digits or fewer"
        )
    return int(text)


def number(name: str, text: str) -> float:
    """Read a number of at least 0.

    Raises:
        InputError: the text is none, or below 0, or not finite.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise InputError(f"{name}={text}: a number of at least 0 was expected")
    return value


def name_of(parts: Iterable[str], changes: Mapping[str, str]) -> str:
    """Name an experiment's file by its parts and by what is changed in them; different for different ones."""
    name = "_".join([*parts, *(f"{key}={value}" for key, value in changes.items())])
    if len(name) > LONGEST_NAME:
        name = f"{name[:LONGEST_NAME]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    return name
