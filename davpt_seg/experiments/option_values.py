"""Parser of ``--cfg-options KEY=VALUE``, and writer of values in the same form."""

from __future__ import annotations

import argparse
import ast
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional, Union

from ..errors import InputError

CLOSED_BY = {"(": ")", "[": "]", "{": "}"}
QUOTES = ("'", '"')
DEEPEST = 20  # brackets in brackets
HELP = (
    "KEY='a, b' for text with a comma or text that looks like a number, KEY=[1,2] for a list; in a shell, put double "
    "quotes around all of it: \"KEY='a, b'\""
)


class OptionsAction(argparse.Action):
    """Action that collects ``KEY=VALUE ...`` into a dict, and ends with the parser's error for unreadable options.

    Values have the form of MMEngine's ``DictAction``: numbers, ``true``, ``None``, text, ``a,b`` or ``[a,b]`` for a
    list, ``(a,b)`` for a tuple, also nested. In addition, ``{'a': 1}`` is a dict, text keeps its spaces, and quotes
    around a text keep its commas and brackets, and digits as text; a quote inside them is doubled: ``'it''s'``.
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
    """Read ``KEY=VALUE`` texts. What a shell divided at the blanks of a list, ``KEY=[1,`` and ``2]``, is joined.

    Raises:
        InputError: an entry of another form, or a value with unbalanced brackets.
    """
    read: dict[str, Any] = {}
    waiting = list(_joined(options))
    while waiting:
        option = waiting.pop(0)
        key, equals, text = option.partition("=")
        if not equals or not all(part.strip() and part == part.strip() for part in key.split(".")):
            raise InputError(f"{option!r} is no KEY=VALUE; {_advice(option, read, waiting)}")
        try:
            read[key] = parsed_value(text)
        except InputError as error:
            raise InputError(f"{key}: {error}") from error
    return read


def _joined(options: Sequence[str]) -> Iterator[str]:
    """Join an option whose value has open brackets with the next ones, up to the one that closes them."""
    waiting = list(options)
    while waiting:
        option = waiting.pop(0)
        if option.partition("=")[2][:1] in CLOSED_BY:
            for count in range(len(waiting) + 1):
                text = " ".join([option, *waiting[:count]])
                if _is_closed(text.partition("=")[2]):
                    option, waiting = text, waiting[count:]
                    break
        yield option


def _advice(option: str, before: Mapping[str, Any], after: Sequence[str]) -> str:
    value = next((each for each in after if each != "="), "").lstrip("=")
    if option.endswith((".py", ".yaml", ".yml", ".json", ".pth")):
        return "files are given before --cfg-options, which takes all that follows"
    is_key = re.fullmatch(r"[a-z_]\w*(\.\w+)*", option) and ("." in option or not before)
    if is_key and value and "=" not in value:
        return f"without a blank: {shlex.quote(f'{option}={value}')}"
    last = next(reversed(list(before)), None)
    if last is not None and "=" not in option and isinstance(before[last], str):
        complete = shlex.quote(f"{last}={before[last]} {option}")
        return f"a value with blanks is quoted for the shell, with its key: {complete}"
    return "write, for instance, train_dataloader.batch_size=4"


def option_texts(options: Mapping[str, Any]) -> list[str]:
    """Write options as ``KEY=VALUE``, which :func:`parsed_options` reads back."""
    return [f"{key}={value_text(value)}" for key, value in options.items()]


def value_text(value: Any) -> str:
    """Write a value of numbers, text, lists, tuples and dicts as text, which :func:`parsed_value` reads back."""
    if isinstance(value, str):
        plain = value == value.strip() != "" and not set(value) & set(",()[]{}'\"") and _is_text(value)
        return value if plain else "'" + value.replace("'", "''") + "'"
    if isinstance(value, Mapping):
        return repr(dict(value))
    if isinstance(value, (list, tuple)):
        items = ",".join(map(value_text, value))
        return f"({items})" if isinstance(value, tuple) else f"[{items}]"
    return repr(value)


def _is_text(text: str) -> bool:
    try:
        return isinstance(_scalar(text), str)
    except InputError:  # no finite number
        return False


def parsed_value(text: str, depth: int = 0) -> Any:
    """Parse a value.

    Raises:
        InputError: brackets that do not match or are too deep, or a dict that is no Python literal.
    """
    text = text.strip()
    if depth > DEEPEST:
        raise InputError(f"brackets are nested more than {DEEPEST} deep")
    if text[:1] in QUOTES and _end_of_quotes(text, 0) == len(text):
        return text[1:-1].replace(text[0] * 2, text[0])
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
    return all(level > 0 for level, _ in list(_levels(text))[:-1])


def _is_closed(text: str) -> bool:
    try:
        _check_brackets(text)
    except InputError:
        return False
    return True


def _check_brackets(text: str) -> None:
    for _ in _levels(text):
        pass


def _split(text: str) -> list[str]:
    """Split at commas outside all brackets and quotes; a comma at the end adds nothing."""
    parts, start = [], 0
    for i, (level, quoted) in enumerate(_levels(text)):
        if text[i] == "," and not level and not quoted:
            parts.append(text[start:i])
            start = i + 1
    return [*parts, text[start:]] if text[start:].strip() else parts


def _levels(text: str) -> Iterator[tuple[int, bool]]:
    """Yield the number of open brackets after each character, and whether it is in quotes.

    Raises:
        InputError: a bracket is closed by another kind, or not at all.
    """
    expected: list[str] = []
    quotes_end, before = 0, ","
    for i, char in enumerate(text):
        quoted = i < quotes_end
        if not quoted and char in QUOTES:
            quotes_end = _end_in_dict(text, i) if "}" in expected else _end_of_item(text, i, before)
            quoted = i < quotes_end
        if quoted:
            pass
        elif char in CLOSED_BY:
            expected.append(CLOSED_BY[char])
        elif char in CLOSED_BY.values() and (not expected or expected.pop() != char):
            raise InputError(f"brackets of {_short(text)} do not match; text with brackets is written in quotes")
        before = before if char.isspace() else char
        yield len(expected), quoted
    if expected:
        raise InputError(f"brackets of {_short(text)} do not match; text with brackets is written in quotes")


def _end_of_quotes(text: str, start: int) -> int:
    """Return the end of quotes that open at ``start``, in which a doubled quote is a quote; 0 if nothing ends them."""
    quote, i = text[start], start + 1
    while i < len(text):
        if text[i] != quote:
            i += 1
        elif text[i : i + 2] == quote * 2:
            i += 2
        else:
            return i + 1
    return 0


def _end_of_item(text: str, start: int, before: str) -> int:
    """Return the end of quotes around a complete entry of a list; 0 for other quotes, as in ``it's``."""
    end = _end_of_quotes(text, start)
    return end if before in (",", "(", "[") and text[end:].lstrip()[:1] in ("", ",", ")", "]") else 0


def _end_in_dict(text: str, start: int) -> int:
    """Return the end of a Python text that begins at ``start``; 0 if nothing ends it."""
    i = start + 1
    while i < len(text):
        if text[i] == text[start]:
            return i + 1
        i += 2 if text[i] == "\\" else 1
    return 0


def _short(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}...")
