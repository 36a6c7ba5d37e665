"""Paths that a Python user gives: a text or a path object; anything else is refused by the name of the argument."""

from __future__ import annotations

import os
from typing import Any

from ..errors import InputError


def path_of(value: Any, what: str) -> str:
    """Return a path as text.

    Args:
        value: text or path object.
        what: name of the argument, and what it must be a path of.

    Raises:
        InputError: another type, or an empty text.
    """
    path = os.fspath(value) if isinstance(value, (str, os.PathLike)) else None
    if not isinstance(path, str) or not path:
        got = "an empty text" if path == "" else type(value).__name__
        raise InputError(f"{what} must be a path, as a text or a pathlib.Path; got {got}")
    return path
