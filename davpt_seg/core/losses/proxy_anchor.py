"""Proxy-Anchor: each proxy pulls the tokens of its class and pushes all others."""

from __future__ import annotations

from typing import Annotated, Optional

import torch
from torch import Tensor

from ..annotations import OneOf, Positive
from ..arguments import checked
from .parts import Parts
from .similarity import cosines

DIVISORS = ("positive", "all")


@checked("proxy_anchor")
def proxy_anchor(
    proxies: Tensor,
    tokens: Tensor,
    positive: Tensor,
    negative: Optional[Tensor] = None,
    scale: Positive = 32.0,
    margin: float = 0.1,
    prompt_scale: Positive = 1.0,
    divisor: Annotated[str, OneOf(DIVISORS)] = "positive",
) -> Parts:
    """Proxy-Anchor loss (Kim et al., CVPR 2020, arXiv 2003.13911) as in DA-VPT (arXiv 2505.23694), Eq. 4.

    Every proxy pulls the tokens of its class and pushes all others, each by a smooth maximum, so that the worst pairs
    count most. Computed in float32 or wider, whatever autocast says.

    Args:
        proxies: (P, D), normalised here.
        tokens: (T, D), normalised here.
        positive: (T, P) bool, token and proxy are of the same class.
        negative: (T, P) bool, they are of different classes. Default: not positive. A void token is in neither.
        scale: alpha = 1 / tau. The paper's text swaps the names of this and of the margin; 32 and 0.1 are
            Proxy-Anchor's defaults and the released code's values.
        margin: delta.
        prompt_scale: factor on the cosines (the released code's s, 1 to 60 there).
        divisor: what the positive part is divided by: the number of proxies with a ``positive`` token (Eq. 4), or
            of ``all`` proxies (the released code).

    Returns:
        The parts of the loss; zero, with zero gradients, where no pair counts.

    Raises:
        ValueError: an argument of another type, out of range or unknown.
    """
    similarity = prompt_scale * cosines(proxies, tokens)
    with torch.autocast(tokens.device.type, enabled=False):
        pull = log_one_plus_sum_exp(-scale * (similarity - margin), positive)  # (P,)
        push = log_one_plus_sum_exp(scale * (similarity + margin), ~positive if negative is None else negative)
        num_pulling = positive.any(dim=0).sum().clamp(min=1) if divisor == "positive" else max(len(proxies), 1)
        return Parts(pull.sum() / num_pulling, push.sum() / max(len(proxies), 1))


def log_one_plus_sum_exp(scores: Tensor, mask: Tensor) -> Tensor:
    """log(1 + sum of exp(scores) over the masked rows), for each column: (T, P), (T, P) -> (P,)."""
    masked = scores.masked_fill(~mask, float("-inf"))
    # The row of zeros is the 1; it also keeps the gradient of a column without any masked row at zero, not NaN.
    return torch.cat([masked.new_zeros(1, masked.shape[1]), masked]).logsumexp(dim=0)
