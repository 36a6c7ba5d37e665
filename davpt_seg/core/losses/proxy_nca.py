"""Proxy-NCA: each token is classified by its nearest proxies."""

from __future__ import annotations

from typing import Optional

from torch import Tensor

from ..annotations import Positive
from ..arguments import checked
from .parts import Parts
from .similarity import cosines


@checked("proxy_nca")
def proxy_nca(
    proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None, scale: Positive = 1.0
) -> Parts:
    """Proxy-NCA loss (Movshovitz-Attias et al., ICCV 2017, arXiv 1703.07464), an alternative in DA-VPT's Sec. 4.3.

    Every token has a distribution over its proxies, the softmax of ``-scale`` times the squared Euclidean distance of
    unit vectors; the loss is the mean over tokens of minus the log of what the proxies of the token's class hold
    together. As in pytorch-metric-learning, those are in the denominator too. Proxies push no token that has no proxy
    of its class: it counts nowhere. Computed in float32 or wider, whatever autocast says.

    Args:
        proxies: (P, D), normalised here.
        tokens: (T, D), normalised here.
        positive: (T, P) bool, token and proxy are of the same class.
        negative: (T, P) bool, they are of different classes. Default: not positive. A void token is in neither.
        scale: of the distances; 1 in the article, around 10 in its successors.

    Returns:
        The parts of the loss; zero, with zero gradients, where no pair counts.

    Raises:
        ValueError: a scale that is not above 0.
    """
    logits = scale * (2 * cosines(proxies, tokens) - 2)  # (T, P): |a - b|^2 = 2 - 2 cos(a, b)
    return missing_share(logits, positive, negative)


def missing_share(logits: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
    """Mean over tokens of minus the log of what the proxies of a token's class hold of a softmax over its proxies.

    A token's own proxies pull by minus the smooth maximum of their logits; all of its proxies push by theirs.

    Args:
        logits: (..., T, P).
        positive, negative: (T, P) bool, as in :func:`proxy_nca`.

    Returns:
        The parts of the loss, means over the dimensions before T as well.
    """
    if not logits.shape[-1]:
        return Parts(logits.sum(), logits.sum())  # zero, and part of the graph
    counted = positive.any(dim=1)
    # A token that does not count takes every proxy on both sides, so that its zero has a gradient of zero, not NaN.
    own = positive | ~counted[:, None]
    every = own | (~positive if negative is None else negative)
    pull = -logits.masked_fill(~own, float("-inf")).logsumexp(dim=-1) * counted
    push = logits.masked_fill(~every, float("-inf")).logsumexp(dim=-1) * counted
    return Parts(*(part.sum(dim=-1).mean() / counted.sum().clamp(min=1) for part in (pull, push)))
