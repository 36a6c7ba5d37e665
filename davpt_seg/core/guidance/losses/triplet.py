"""Triplet loss over all triplets of a batch, none of which is ever formed."""

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

    For every proxy p, token i of its class and token j of another: ``max(0, cos(p, j) - cos(p, i) + margin)``, which is
    half of what squared Euclidean distances and twice the margin give. The loss is the mean over those triplets, of
    all proxies together, that are above zero: the few that are left in the end weigh as much as all did.

    All triplets count, exactly, though a batch of 10,000 patches has 25 million for a proxy: where i is in n_i triplets
    above zero and j in n_j, their sum is ``sum_i n_i (margin - cos(p, i)) + sum_j n_j cos(p, j)``, and sorting gives
    the n. Time is T log T and memory T for each proxy. The two parts are what tokens add as positives and as negatives.

    Args:
        margin: by how much a token of a proxy's class is to be nearer than others, in cosine; 0.1 is FaceNet's 0.2.
    """

    what = "guidance metric 'triplet'"
    margin: NotNegative = 0.1

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss, see :class:`MetricLoss`."""
        cosine = cosines(proxies, tokens).T.contiguous()  # (P, T)
        positive, negative = positive.T, (~positive if negative is None else negative).T
        with torch.no_grad():  # how many triplets a token is in changes in steps, so it has no gradient
            lacking = (self.margin - cosine).masked_fill(~positive, float("-inf"))
            excess = (-cosine).masked_fill(~negative, float("inf"))
            as_positive = torch.searchsorted(excess.sort(dim=1).values, lacking)  # negatives that are too near for it
            below = torch.searchsorted(lacking.sort(dim=1).values, excess, right=True)
            as_negative = (cosine.shape[1] - below).masked_fill(~negative, 0)  # positives that it is too near for
            total = as_positive.sum().clamp(min=1)
            share_positive, share_negative = as_positive.to(cosine.dtype) / total, as_negative.to(cosine.dtype) / total
        return Parts((share_positive * (self.margin - cosine)).sum(), (share_negative * cosine).sum())
