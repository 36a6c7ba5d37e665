"""Metric losses between proxies (here: prompts or class tokens) and tokens, chosen by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import partial
from typing import Any, Callable

from ...errors import InputError
from ..arguments import check_arguments
from .attention import attention
from .parts import Parts
from .proxy_anchor import proxy_anchor
from .proxy_nca import proxy_nca
from .similarity import cosines
from .triplet import triplet

__all__ = [
    "METRICS",
    "METRIC_ARGUMENTS",
    "Parts",
    "attention",
    "cosines",
    "metric_loss",
    "proxy_anchor",
    "proxy_nca",
    "triplet",
]

#: Each takes proxies (P, D), tokens (T, D), and who is positive and negative to whom, (T, P) bool.
METRICS: dict[str, Callable[..., Parts]] = {
    "proxy_anchor": proxy_anchor,
    "proxy_nca": proxy_nca,
    "triplet": triplet,
    "attention": attention,
}
METRIC_ARGUMENTS = {name: list(inspect.signature(loss).parameters)[4:] for name, loss in METRICS.items()}


def metric_loss(name: str, arguments: Mapping[str, Any]) -> Callable[..., Parts]:
    """Set the arguments of the metric loss of a name; None stands for an argument's default.

    Raises:
        ValueError: an unknown name, an argument that is not this metric's, or a value that it refuses.
    """
    if name not in METRICS:
        raise InputError(f"metric must be one of {tuple(METRICS)}, got {name!r}")
    loss = METRICS[name]
    arguments = {argument: value for argument, value in arguments.items() if value is not None}
    for argument in arguments:
        if argument not in METRIC_ARGUMENTS[name]:
            others = [other for other, names in METRIC_ARGUMENTS.items() if argument in names]
            raise InputError(
                f"{argument!r} is no argument of metric {name!r}, which takes {', '.join(METRIC_ARGUMENTS[name])}"
                + (f"; it is one of {' and of '.join(map(repr, others))}" if others else "")
            )
    check_arguments(loss, arguments, "guidance")
    return partial(loss, **arguments)
