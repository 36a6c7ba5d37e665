"""Search space: a grid of values, or ranges."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, NamedTuple, Optional, Union

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    StrictBool,
    Tag,
    model_validator,
)

from ...errors import InputError
from .fields import Value, check_words_and_keys, number, real, value_of
from .parts import Part, shortened

Parameters = Mapping[str, Value]
SAMPLERS = ("grid", "tpe")
MOST_TRIALS = 100_000


class Trial(NamedTuple):
    """Trial of hyper-parameters: its number in the order of trying, and its score if known."""

    number: int
    parameters: dict[str, Value]
    score: Optional[float] = None


class Range(Part):
    """Range of numbers, uniform on a logarithmic or a linear scale."""

    low: Annotated[float, PlainValidator(real)] = Field(description="lower end")
    high: Annotated[float, PlainValidator(real)] = Field(description="upper end")
    log: StrictBool = Field(default=True, description="whether the scale is logarithmic")

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InputError(
                f"low must be less than high, and above 0 on a logarithmic scale (log: false gives a linear one), "
                f"got {self.low} to {self.high}"
            )
        return self


def _listed(values: Any) -> Any:
    return values if isinstance(values, (list, tuple)) else [values]


def _each_once(values: tuple[Value, ...]) -> tuple[Value, ...]:
    if not values or len(set(values)) < len(values):
        raise InputError(f"values must be given, each once, got {list(values)}")
    return values


def _words_only(axes: dict[str, Axis]) -> dict[str, Axis]:
    for key, axis in axes.items():
        for value in axis if isinstance(axis, tuple) else ():
            value_of(key, value)
    return axes


Values = Annotated[
    tuple[Annotated[Value, PlainValidator(number)], ...], BeforeValidator(_listed), AfterValidator(_each_once)
]
Axis = Annotated[
    Union[Annotated[Range, Tag("range")], Annotated[Values, Tag("values")]],
    Discriminator(lambda axis: "range" if isinstance(axis, (Mapping, Range)) else "values"),
]
Axes = Annotated[dict[str, Axis], BeforeValidator(check_words_and_keys), AfterValidator(_words_only)]


@dataclass(frozen=True)
class Space:
    """Hyper-parameters of a search, each with its values or its range.

    Args:
        axes: values or range by name: a word of an experiment (``lr``), or a key of its config, which has a dot.
        sampler: ``grid`` tries every combination, in order; ``tpe`` is Optuna's tree-structured Parzen estimator.
        trials: number of trials; for a grid, all.

    Raises:
        InputError: the sampler is unknown or does not fit the axes.
    """

    axes: Mapping[str, Union[tuple[Value, ...], Range]]
    sampler: str = "grid"
    trials: Optional[int] = None
    count: int = field(init=False)

    def __post_init__(self) -> None:
        ranges = [name for name, axis in self.axes.items() if isinstance(axis, Range)]
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler must be one of {', '.join(SAMPLERS)}, got {shortened(self.sampler)}")
        if self.sampler == "grid":
            if ranges:
                raise InputError(
                    f"{', '.join(ranges)}: a range has no grid; add --sampler tpe --trials 20, or list values"
                )
            if self.trials is not None:
                raise InputError("trials is for sampler tpe; a grid tries every combination of its values")
        elif self.axes and (type(self.trials) is not int or self.trials < 1):
            raise InputError(f"sampler tpe needs a number of trials, such as --trials 20, got {self.trials}")
        product = math.prod(len(axis) for axis in self.axes.values() if not isinstance(axis, Range))
        if product > MOST_TRIALS:
            raise InputError(f"a grid of {product} combinations; give at most {MOST_TRIALS}, or take --sampler tpe")
        object.__setattr__(self, "count", product if self.sampler == "grid" or not self.axes else self.trials)

    @property
    def searched(self) -> bool:
        """Return whether there is anything to choose; no axis, or one value each, needs no trial."""
        return any(isinstance(axis, Range) or len(axis) > 1 for axis in self.axes.values())

    def points(self) -> list[dict[str, Value]]:
        """List the combinations of a grid, the last name's values fastest; without axes, one empty point."""
        values = [axis for axis in self.axes.values() if not isinstance(axis, Range)]
        return [dict(zip(self.axes, point)) for point in itertools.product(*values)]

    def example(self) -> dict[str, Value]:
        """Return a point of the space."""
        return {name: axis.low if isinstance(axis, Range) else axis[0] for name, axis in self.axes.items()}

    def edges(self, parameters: Parameters) -> tuple[str, ...]:
        """Return the parameters at an end of their values, where better ones may lie beyond."""
        ends = {}
        for name, axis in self.axes.items():
            numbers = [] if isinstance(axis, Range) else [value for value in axis if not isinstance(value, str)]
            ends[name] = (min(numbers), max(numbers)) if len(numbers) > 2 else ()
        return tuple(name for name, value in parameters.items() if value in ends.get(name, ()))

    def as_json(self) -> dict[str, Any]:
        """Describe the space for the files of a work dir."""
        axes = {name: axis.model_dump() if isinstance(axis, Range) else list(axis) for name, axis in self.axes.items()}
        return dict(sampler=self.sampler, axes=axes, trials=self.count)

    def digest(self) -> str:
        """Return a few letters that identify the space, whatever its number of trials."""
        content = json.dumps([self.sampler, list(self.as_json()["axes"].items())])
        return hashlib.sha256(content.encode()).hexdigest()[:8]
