"""The metric losses as one number each, the sum of their parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from davpt_seg.core import losses


def total(loss: Callable[..., losses.Parts]) -> Callable[..., Tensor]:
    def run(*args: Any, **kwargs: Any) -> Tensor:
        pull, push = loss(*args, **kwargs)
        return pull + push

    return run


attention = total(losses.attention)
proxy_anchor = total(losses.proxy_anchor)
proxy_nca = total(losses.proxy_nca)
triplet = total(losses.triplet)
