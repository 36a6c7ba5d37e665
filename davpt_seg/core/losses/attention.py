"""The scores of attention themselves: each token is classified by its attention to the prompts, in every head."""

from __future__ import annotations

from typing import Optional

import torch
from torch import Tensor

from ...errors import InputError
from ..annotations import Count, Positive
from ..arguments import checked
from .parts import Parts
from .proxy_nca import missing_share


@checked("attention")
def attention(
    proxies: Tensor,
    tokens: Tensor,
    positive: Tensor,
    negative: Optional[Tensor] = None,
    scale: Positive = 1.0,
    heads: Count = 1,
) -> Parts:
    """Cross-entropy of a token's attention over the prompts of its block, towards those of its class.

    Where proxies are the prompts' keys and tokens the patches' queries, the logits are the scores that the softmax of
    attention reads, scale and length of keys included, which a metric on cosines is not. Ours; Proxy-NCA with scores
    for distances. Computed in float32 or wider, whatever autocast says.

    Args:
        proxies: keys, heads concatenated, (P, heads * head_dim).
        tokens: queries, heads concatenated, (T, heads * head_dim).
        positive: (T, P) bool, token and proxy are of the same class.
        negative: (T, P) bool, they are of different classes. Default: not positive. A void token is in neither.
        scale: of the scores, beside the 1 / sqrt(head_dim) of attention.
        heads: of the block. The loss is the mean over them. A config leaves this to the trunk.

    Returns:
        The parts of the loss; zero, with zero gradients, where no pair counts.

    Raises:
        ValueError: a scale that is not above 0, or a width that the heads do not divide.
    """
    if tokens.shape[-1] % heads:
        raise InputError(f"metric 'attention': {heads} heads do not divide a width of {tokens.shape[-1]}")
    dtype = torch.promote_types(tokens.dtype, torch.float32)
    with torch.autocast(tokens.device.type, enabled=False):
        queries = tokens.to(dtype).unflatten(-1, (heads, -1)).transpose(0, 1)  # (heads, T, head_dim)
        keys = proxies.to(dtype).unflatten(-1, (heads, -1)).transpose(0, 1)  # (heads, P, head_dim)
        scores = queries @ keys.transpose(1, 2) * (scale / queries.shape[-1] ** 0.5)
    return missing_share(scores, positive, negative)
