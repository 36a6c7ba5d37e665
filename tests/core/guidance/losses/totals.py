"""Metric losses as one number each, the sum of their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from davpt_seg.core.guidance import losses


def total(loss: type[losses.MetricLoss]) -> Callable[..., Tensor]:
    def run(*tensors: Tensor, **arguments: Any) -> Tensor:
        pull, push = loss(**arguments)(*tensors)
        return pull + push

    return run


attention = total(losses.AttentionScores)
proxy_anchor = total(losses.ProxyAnchor)
proxy_nca = total(losses.ProxyNCA)
triplet = total(losses.Triplet)
