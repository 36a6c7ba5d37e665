"""Loss on attention scores: each token is classified by its attention to the prompts, in every head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import torch
from torch import Tensor

from ....errors import InputError
from ...annotations import Count, Positive
from ...precision import without_autocast
from .parts import MetricLoss, Parts
from .proxy_nca import missing_share


@dataclass(frozen=True)
class AttentionScores(MetricLoss):
    """Cross-entropy of a token's attention over the prompts of its block, towards those of its class.

    Proxies are the prompts' keys and tokens the patches' queries, heads concatenated. The logits are the scores that
    the softmax of attention reads, with the keys' length and the scale, unlike a metric on cosines. The loss is ours:
    Proxy-NCA with scores in place of distances.

    Args:
        scale: factor on the scores, in addition to attention's 1 / sqrt(head_dim).
        heads: number of the block's heads, which must divide the width. The loss is the mean over them. The trunk sets
            it, not a config.
    """

    what = "guidance metric 'attention'"
    scale: Positive = 1.0
    heads: Count = 1

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss; proxies are (P, heads * head_dim) and tokens (T, heads * head_dim)."""
        if tokens.shape[-1] % self.heads:
            raise InputError(f"metric 'attention': {self.heads} heads do not divide a width of {tokens.shape[-1]}")
        dtype = torch.promote_types(tokens.dtype, torch.float32)
        with without_autocast(tokens.device):
            queries = tokens.to(dtype).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (heads, T, head_dim)
            keys = proxies.to(dtype).unflatten(-1, (self.heads, -1)).transpose(0, 1)  # (heads, P, head_dim)
            scores = queries @ keys.transpose(1, 2) * (self.scale / queries.shape[-1] ** 0.5)
        return missing_share(scores, positive, negative)
