"""Annotations with limits, and values read by them.

Pydantic would read the same annotations, but its lax mode takes ``'False'`` for a boolean, its strict mode refuses
NumPy's numbers, and its messages do not say what to do.
"""

from __future__ import annotations

import ast
import contextlib
import math
import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, Union, get_args, get_origin


@dataclass(frozen=True)
class Range:
    """Bounds of a number; ``above`` and ``below`` exclude their value. Infinite numbers and NaN are in no range."""

    least: Optional[float] = None
    most: Optional[float] = None
    above: Optional[float] = None
    below: Optional[float] = None

    def holds(self, value: float) -> bool:
        """Return whether a number is in the range."""
        return (
            (self.least is None or value >= self.least)
            and (self.most is None or value <= self.most)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        if self.least is not None and self.most is not None:
            return f" from {self.least:g} to {self.most:g}"
        bounds = {"of at least": self.least, "above": self.above, "and at most": self.most, "and below": self.below}
        return "".join(f" {words} {bound:g}" for words, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class OneOf:
    """The values that a text may have."""

    choices: Sequence[str]


@dataclass(frozen=True)
class AtMost:
    """A largest number that no sensible value exceeds; it is named only where it is exceeded."""

    most: int


Count = Annotated[int, Range(least=1)]
Number = Annotated[int, Range(least=0)]
#: Dimensions of learned tensors. A larger one is a mistake, for which torch would ask for more memory than there is.
Size = Annotated[Count, AtMost(100_000)]
SizeOrZero = Annotated[Number, AtMost(100_000)]
Classes = Annotated[Count, AtMost(1_000_000)]
Seed = Annotated[int, Range(least=0, most=2**32 - 1)]
Positive = Annotated[float, Range(above=0)]
NotNegative = Annotated[float, Range(least=0)]
Probability = Annotated[float, Range(least=0, below=1)]
UNIONS = (Union, getattr(types, "UnionType", Union))  # Optional[int]; from Python 3.10 on, int | None


class Unfit(Exception):
    """A value that an annotation does not have."""


def _require(fits: bool) -> None:
    if not fits:
        raise Unfit


def read(value: Any, annotation: Any) -> Any:
    """Return a value as an annotation has it: numbers of NumPy and PyTorch become Python's, the rest stays as it is.

    Raises:
        Unfit: the value is of another type or out of range.
    """
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        value = read(value, arguments[0])
        for limit in arguments[1:]:
            _require(not isinstance(limit, Range) or limit.holds(value))
            _require(not isinstance(limit, OneOf) or value in limit.choices)
            _require(not isinstance(limit, AtMost) or value <= limit.most)
        return value
    if kind in UNIONS:
        for each in arguments:
            try:
                return read(value, each)
            except Unfit:
                continue
        raise Unfit
    if kind is Literal:
        _require(any(value == choice and type(value) is type(choice) for choice in arguments))
        return value
    if annotation in (bool, int, float):
        return _read_number(value, annotation)
    if kind is not None and issubclass(kind, Mapping):
        _require(isinstance(value, Mapping) and all(isinstance(key, str) for key in value))
    elif kind is tuple and Ellipsis not in arguments:
        _require(isinstance(value, (list, tuple)) and len(value) == len(arguments))
        return tuple(map(read, value, arguments))
    elif kind is not None and issubclass(kind, Sequence):
        value = value.tolist() if getattr(value, "ndim", None) == 1 else value
        _require(isinstance(value, Sequence) and not isinstance(value, (str, bytes)))
        items = [read(item, arguments[0]) for item in value]
        return tuple(items) if isinstance(value, tuple) else items
    elif annotation is not Any and isinstance(annotation, type):
        _require(isinstance(value, annotation))
    return value


def _read_number(value: Any, kind: type) -> Any:
    if getattr(value, "ndim", None) == 0:  # of NumPy or PyTorch
        value = value.item()
    if kind is bool or isinstance(value, bool):
        _require(kind is bool and isinstance(value, bool))
        return value
    _require(isinstance(value, int) or (kind is float and isinstance(value, float)))
    _require(abs(value) < 2**63 if isinstance(value, int) else math.isfinite(value))
    return value


NOUNS = {
    bool: ("True or False", "booleans"),
    int: ("an integer", "integers"),
    float: ("a number", "numbers"),
    str: ("a string", "strings"),
    type(None): ("None", "None"),
}


def describe(annotation: Any, plural: bool = False) -> str:
    """Describe the values that an annotation has, for a message."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        for limit in arguments[1:]:
            if isinstance(limit, OneOf):
                return f"{'any' if plural else 'one'} of {tuple(limit.choices)}"
        return describe(arguments[0], plural) + "".join(str(limit) for limit in arguments[1:] if type(limit) is Range)
    if kind in UNIONS:
        return " or ".join(describe(each, plural) for each in arguments)
    if kind is Literal:
        return f"one of {arguments}"
    if annotation in NOUNS:
        return NOUNS[annotation][plural]
    if kind is not None and issubclass(kind, Mapping):
        return "dicts of arguments" if plural else "a dict of arguments"
    if kind is tuple and Ellipsis not in arguments:
        return f"{len(arguments)} values: {', '.join(map(describe, arguments))}"
    if kind is not None and issubclass(kind, Sequence):
        return f"{'lists' if plural else 'a list'} of {describe(arguments[0], plural=True)}"
    return f"a {getattr(annotation, '__name__', annotation)}"


def advice(value: Any, annotation: Any) -> str:
    """Describe how to write the value, where that can be known."""
    kind, arguments = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        words = "".join(f"; {limit}" for limit in arguments[1:] if isinstance(limit, str))
        return _limit(value, annotation) or words.format(value=value) or advice(value, arguments[0])
    if limit := _limit(value, annotation):
        return limit
    tries = {f"[{value!r}]": [value]}
    if isinstance(value, str):
        with contextlib.suppress(SyntaxError, ValueError):
            tries[f"{ast.literal_eval(value)!r} without quotes"] = ast.literal_eval(value)
    for words, attempt in tries.items():
        try:
            read(attempt, annotation)
        except Unfit:
            continue
        return f"; write {words}"
    return "; it must be finite" if isinstance(value, float) and math.isinf(value) else ""


def _limit(value: Any, annotation: Any) -> str:
    """Name the largest sensible number, where a value or an item of it exceeds that."""
    for part in get_args(annotation):
        if isinstance(part, AtMost):
            numbers = value if isinstance(value, (list, tuple)) else [value]
            if any(isinstance(each, (int, float)) and each > part.most for each in numbers):
                return f"; the largest is {part.most:,}"
        elif found := _limit(value, part):
            return found
    return ""
