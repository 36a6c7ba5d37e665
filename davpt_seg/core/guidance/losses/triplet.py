"""Triplet loss over all triplets of a batch, computed without forming them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from ...annotations import NotNegative
from .parts import MetricLoss, Parts
from .similarity import cosines


@dataclass(frozen=True)
class Triplet(MetricLoss):
    """Triplet margin loss with proxies as anchors (Schroff et al., CVPR 2015, arXiv 1503.03832), DA-VPT's Sec. 4.3.

    A proxy p, a token i of its class and a token j of another give ``max(0, cos(p, j) - cos(p, i) + margin)``, half of
    the value with squared Euclidean distances and twice the margin. The loss is the mean over the triplets of all
    proxies that are above zero, so that the few active ones late in training weigh as much as all did.

    The result is exact, though a batch of 10,000 patches has 25 million triplets per proxy: if i is in n_i triplets
    above zero and j in n_j, their sum is ``sum_i n_i (margin - cos(p, i)) + sum_j n_j cos(p, j)``, and sorting gives
    the n. Each proxy takes time T log T and memory T. The two parts are the sums over positives and over negatives.

    Args:
        margin: difference of cosines by which tokens of a proxy's class are required to be nearer; 0.1 is FaceNet's
            0.2.
    """

    what = "guidance metric 'triplet'"
    margin: NotNegative = 0.1

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss, see :class:`MetricLoss`."""
        cosine = cosines(proxies, tokens).T.contiguous()  # (P, T)
        positive, negative = positive.T, (~positive if negative is None else negative).T
        with torch.no_grad():  # the number of triplets of a token changes in steps, so it has no gradient
            lacking = (self.margin - cosine).masked_fill(~positive, float("-inf"))
            excess = (-cosine).masked_fill(~negative, float("inf"))
            as_positive = torch.searchsorted(excess.sort(dim=1).values, lacking)  # negatives that are too near for it
            below = torch.searchsorted(lacking.sort(dim=1).values, excess, right=True)
            as_negative = (cosine.shape[1] - below).masked_fill(~negative, 0)  # positives that it is too near for
            total = as_positive.sum().clamp(min=1)
            share_positive, share_negative = as_positive.to(cosine.dtype) / total, as_negative.to(cosine.dtype) / total
        return Parts((share_positive * (self.margin - cosine)).sum(), (share_negative * cosine).sum())
