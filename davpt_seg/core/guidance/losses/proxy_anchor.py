"""Proxy-Anchor: each proxy pulls the tokens of its class and pushes all others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Optional

import torch
from torch import Tensor

from ...annotations import OneOf, Positive
from ...precision import without_autocast
from .parts import MetricLoss, Parts
from .similarity import cosines

DIVISORS = ("positive", "all")


@dataclass(frozen=True)
class ProxyAnchor(MetricLoss):
    """Proxy-Anchor loss (Kim et al., CVPR 2020, arXiv 2003.13911) as in DA-VPT (arXiv 2505.23694), Eq. 4.

    Pull and push are smooth maxima, so that the worst pairs count most.

    Args:
        scale: alpha = 1 / tau. The paper's text swaps the names of scale and margin; 32 and 0.1 are Proxy-Anchor's
            defaults and the released code's values.
        margin: delta.
        prompt_scale: factor on the cosines (the released code's s, 1 to 60 there).
        divisor: divisor of the positive part: the number of proxies with a ``positive`` token (Eq. 4), or of ``all``
            proxies (the released code).
    """

    what = "guidance metric 'proxy_anchor'"
    scale: Positive = 32.0
    margin: float = 0.1
    prompt_scale: Positive = 1.0
    divisor: Annotated[str, OneOf(DIVISORS)] = "positive"

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss, see :class:`MetricLoss`."""
        similarity = self.prompt_scale * cosines(proxies, tokens)
        with without_autocast(tokens.device):
            pull = log_one_plus_sum_exp(-self.scale * (similarity - self.margin), positive)  # (P,)
            others = ~positive if negative is None else negative
            push = log_one_plus_sum_exp(self.scale * (similarity + self.margin), others)
            all_proxies = max(len(proxies), 1)
            pulling = positive.any(dim=0).sum().clamp(min=1) if self.divisor == "positive" else all_proxies
            return Parts(pull.sum() / pulling, push.sum() / all_proxies)


def log_one_plus_sum_exp(scores: Tensor, mask: Tensor) -> Tensor:
    """Return log(1 + sum of exp(scores) over the masked rows) of each column: (T, P), (T, P) -> (P,)."""
    masked = scores.masked_fill(~mask, float("-inf"))
    # The row of zeros is the 1; it also keeps the gradient of a column without any masked row at zero, not NaN.
    return torch.cat([masked.new_zeros(1, masked.shape[1]), masked]).logsumexp(dim=0)
