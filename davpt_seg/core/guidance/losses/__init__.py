"""Metric losses between proxies (here: prompts or class tokens) and tokens, chosen by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....errors import InputError
from .attention import AttentionScores
from .parts import MetricLoss, Parts
from .proxy_anchor import ProxyAnchor
from .proxy_nca import ProxyNCA
from .similarity import cosines
from .triplet import Triplet

__all__ = [
    "METRICS",
    "AttentionScores",
    "MetricLoss",
    "Parts",
    "ProxyAnchor",
    "ProxyNCA",
    "Triplet",
    "cosines",
    "metric_loss",
]

METRICS: dict[str, type[MetricLoss]] = {
    "proxy_anchor": ProxyAnchor,
    "proxy_nca": ProxyNCA,
    "triplet": Triplet,
    "attention": AttentionScores,
}


def metric_loss(kind: str, arguments: Mapping[str, Any]) -> MetricLoss:
    """Build the metric loss of a name from a config's arguments; None is an argument's default.

    Raises:
        InputError: an unknown name, an argument of another metric, or a wrong value.
    """
    if not isinstance(kind, str) or kind not in METRICS:
        raise InputError(f"guidance metric kind must be one of {tuple(METRICS)}, got {kind!r}")
    arguments = {name: value for name, value in arguments.items() if value is not None}
    for name in arguments:
        if name not in METRICS[kind].names():
            others = [other for other, loss in METRICS.items() if name in loss.names()]
            raise InputError(
                f"{name!r} is no argument of metric {kind!r}, which takes {', '.join(METRICS[kind].names())}"
                + (f"; it is one of {' and of '.join(map(repr, others))}" if others else "")
            )
    return METRICS[kind](**arguments)
