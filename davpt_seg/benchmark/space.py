"""What a search tries: a grid of values, or ranges."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional, Union

from ..errors import InputError

Value = Union[int, float, str]
Parameters = Mapping[str, Value]
SAMPLERS = ("grid", "tpe")


class Trial(NamedTuple):
    """Hyper-parameters that are tried or were: number in the order of trying, and score where it is known."""

    number: int
    parameters: dict[str, Value]
    score: Optional[float] = None


@dataclass(frozen=True)
class Range:
    """Numbers between two ends, uniform on a logarithmic scale or on a linear one."""

    low: float
    high: float
    log: bool = True

    def __post_init__(self) -> None:
        if not self.low < self.high or (self.log and self.low <= 0):
            raise InputError(
                f"range {self.low} to {self.high}: low must be less than high, and above 0 on a logarithmic scale "
                "(log: false gives a linear one)"
            )


@dataclass(frozen=True)
class Space:
    """The hyper-parameters of a search, each with its values or its range.

    Args:
        axes: values or range by name: a word of an experiment (``lr``), or a key of its config, which has a dot.
        sampler: ``grid`` tries every combination, in order; ``tpe`` is Optuna's tree-structured Parzen estimator.
        trials: how many are tried; for a grid, all.

    Raises:
        InputError: the sampler is unknown or does not fit.
    """

    axes: Mapping[str, Union[tuple[Value, ...], Range]]
    sampler: str = "grid"
    trials: Optional[int] = None
    count: int = field(init=False)

    def __post_init__(self) -> None:
        ranges = [name for name, axis in self.axes.items() if isinstance(axis, Range)]
        if self.sampler not in SAMPLERS:
            raise InputError(f"sampler must be one of {', '.join(SAMPLERS)}, got {self.sampler!r}")
        if self.sampler == "grid":
            if ranges:
                raise InputError(
                    f"{', '.join(ranges)}: a range has no grid; add --sampler tpe --trials 20, or list values"
                )
            if self.trials is not None:
                raise InputError("trials is for sampler tpe; a grid tries every combination of its values")
        elif self.axes and (type(self.trials) is not int or self.trials < 1):
            raise InputError(f"sampler tpe needs a number of trials, such as --trials 20, got {self.trials}")
        for name, axis in self.axes.items():
            if not isinstance(axis, Range) and (not axis or len(set(axis)) < len(axis)):
                raise InputError(f"grid {name}: values must be given, each once, got {list(axis)}")
        product = math.prod(len(axis) for axis in self.axes.values() if not isinstance(axis, Range))
        object.__setattr__(self, "count", product if self.sampler == "grid" or not self.axes else self.trials)

    def points(self) -> list[dict[str, Value]]:
        """List the combinations of a grid, the last name's values fastest; without axes, one empty point."""
        values = [axis for axis in self.axes.values() if not isinstance(axis, Range)]
        return [dict(zip(self.axes, point)) for point in itertools.product(*values)]

    def example(self) -> dict[str, Value]:
        """Return a point of it."""
        return {name: axis.low if isinstance(axis, Range) else axis[0] for name, axis in self.axes.items()}

    def edges(self, parameters: Parameters) -> tuple[str, ...]:
        """Name the parameters that stand at an end of their values, so that better ones may lie beyond."""
        ends = {}
        for name, axis in self.axes.items():
            numbers = [] if isinstance(axis, Range) else [value for value in axis if not isinstance(value, str)]
            ends[name] = (min(numbers), max(numbers)) if len(numbers) > 2 else ()
        return tuple(name for name, value in parameters.items() if value in ends.get(name, ()))

    def as_json(self) -> dict[str, Any]:
        """Describe it for the files of a work dir."""
        axes = {name: vars(axis) if isinstance(axis, Range) else list(axis) for name, axis in self.axes.items()}
        return dict(sampler=self.sampler, axes=axes, trials=self.count)

    def digest(self) -> str:
        """Tell spaces apart in a few letters; how many trials does not matter."""
        content = json.dumps([self.sampler, list(self.as_json()["axes"].items())])
        return hashlib.sha256(content.encode()).hexdigest()[:8]
