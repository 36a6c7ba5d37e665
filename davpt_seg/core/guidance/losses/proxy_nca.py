"""Proxy-NCA: each token is classified by its nearest proxies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from torch import Tensor

from ...annotations import Positive
from .parts import MetricLoss, Parts
from .similarity import cosines


@dataclass(frozen=True)
class ProxyNCA(MetricLoss):
    """Proxy-NCA loss (Movshovitz-Attias et al., ICCV 2017, arXiv 1703.07464), an alternative in DA-VPT's Sec. 4.3.

    Every token has a distribution over its proxies: the softmax of ``-scale`` times the squared Euclidean distance of
    unit vectors. The loss is the mean over tokens of minus the log of the total probability of the class's proxies. As
    in pytorch-metric-learning, these are in the denominator, too. A token without proxy of its class is ignored.

    Args:
        scale: factor on the distances; 1 in the article, around 10 in its successors.
    """

    what = "guidance metric 'proxy_nca'"
    scale: Positive = 1.0

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss, see :class:`MetricLoss`."""
        logits = self.scale * (2 * cosines(proxies, tokens) - 2)  # (T, P): |a - b|^2 = 2 - 2 cos(a, b)
        return missing_share(logits, positive, negative)


def missing_share(logits: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
    """Return the mean over tokens of minus the log of the probability of a token's class, a softmax over its proxies.

    Proxies of a token's class pull by minus the smooth maximum of their logits; all of its proxies push by theirs.

    Args:
        logits: logits (..., T, P).
        positive, negative: pairs (T, P) bool, see :class:`MetricLoss`.

    Returns:
        The parts of the loss, averaged over the dimensions before T, too.
    """
    if not logits.shape[-1]:
        return Parts(logits.sum(), logits.sum())  # zero, and part of the graph
    counted = positive.any(dim=1)
    # An ignored token takes every proxy on both sides, so that its gradient is zero, not NaN.
    own = positive | ~counted[:, None]
    every = own | (~positive if negative is None else negative)
    pull = -logits.masked_fill(~own, float("-inf")).logsumexp(dim=-1) * counted
    push = logits.masked_fill(~every, float("-inf")).logsumexp(dim=-1) * counted
    return Parts(*(part.sum(dim=-1).mean() / counted.sum().clamp(min=1) for part in (pull, push)))
