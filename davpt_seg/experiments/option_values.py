"""Parser of ``--cfg-options KEY=VALUE``."""

from __future__ import annotations

import argparse
import ast
import math
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

from ..errors import InputError

CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
DEEPEST = 20  # brackets in brackets


class OptionsAction(argparse.Action):
    """Action that collects ``KEY=VALUE ...`` into a dict, and ends with the parser's error for unreadable options.

    Values have the form of MMEngine's ``DictAction``: numbers, ``true``, ``None``, text, ``a,b`` or ``[a,b]`` for a
    list, ``(a,b)`` for a tuple, also nested. In addition, ``{'a': 1}`` is a dict, and text keeps its spaces.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Union[str, Sequence[Any], None],
        option_string: Optional[str] = None,
    ) -> None:
        """Add the options to earlier ones; the later of two with the same key applies."""
        given = [values] if isinstance(values, str) else list(values or ())
        try:
            read = parsed_options(given)
        except InputError as error:
            raise argparse.ArgumentError(self, str(error)) from error
        setattr(namespace, self.dest, {**(getattr(namespace, self.dest, None) or {}), **read})


def parsed_options(options: Sequence[str]) -> dict[str, Any]:
    """Read ``KEY=VALUE`` texts.

    Raises:
        ValueError: an entry of another form, or a value with unbalanced brackets.
    """
    read = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not all(part.strip() and part == part.strip() for part in key.split(".")):
            raise InputError(f"{option!r} is no KEY=VALUE; write, for instance, train_dataloader.batch_size=4")
        try:
            read[key] = parsed_value(text)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return read


def parsed_value(text: str, depth: int = 0) -> Any:
    """Parse a value.

    Raises:
        ValueError: brackets that do not match or are too deep, or a dict that is no Python literal.
    """
    text = text.strip().strip("'\"").strip()
    if depth > DEEPEST:
        raise InputError(f"brackets are nested more than {DEEPEST} deep")
    if text[:1] in CLOSED_BY and text[-1:] == CLOSED_BY[text[0]] and _encloses(text):
        if text[0] == "{":
            return _literal_dict(text)
        items = [parsed_value(item, depth + 1) for item in _split(text[1:-1])]
        return tuple(items) if text[0] == "(" else items
    if text[:1] in CLOSED_BY:
        _check_brackets(text)
    if "," in text:
        return [parsed_value(item, depth + 1) for item in _split(text)]
    return _scalar(text)


def _scalar(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text == "None":
        return None
    for kind in (int, float):
        try:
            number = kind(text)
        except ValueError:
            continue
        if not math.isfinite(number):
            raise InputError(f"{_short(text)} is no finite number")
        return number
    return text


def _literal_dict(text: str) -> Any:
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise InputError(f"{_short(text)} is no Python dict of plain values, such as {{'type': 'Mixup'}}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"{_short(text)} is no Python dict whose keys are text, such as {{'type': 'Mixup'}}")
    return value


def _encloses(text: str) -> bool:
    """Return whether the last character closes the first bracket."""
    return all(level > 0 for level in list(_levels(text))[:-1])


def _check_brackets(text: str) -> None:
    for _ in _levels(text):
        pass


def _split(text: str) -> list[str]:
    """Split at commas outside all brackets; a comma at the end adds nothing."""
    parts, start = [], 0
    for i, level in enumerate(_levels(text)):
        if text[i] == "," and not level:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]] if text[start:].strip() else parts


def _levels(text: str) -> Iterator[int]:
    """Yield the number of open brackets after each character.

    Raises:
        ValueError: a bracket is closed by another kind, or not at all.
    """
    expected: list[str] = []
    for char in text:
        if char in CLOSED_BY:
            expected.append(CLOSED_BY[char])
        elif char in CLOSED_BY.values() and (not expected or expected.pop() != char):
            raise InputError(f"brackets of {_short(text)} do not match")
        yield len(expected)
    if expected:
        raise InputError(f"brackets of {_short(text)} do not match")


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
