"""Queries, keys and values, and the fused call that attends."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import torch.nn.functional as F
from torch import Tensor


class Projected(NamedTuple):
    """Queries, keys and values, each (..., N, heads, head_dim), keys and queries after qk-norm."""

    query: Tensor
    key: Tensor
    value: Tensor


class KeyValue(NamedTuple):
    """Keys and values that tokens attend to.

    Attributes:
        key: shared by the batch, (n, heads, head_dim), or each image's own, (B, n, heads, head_dim).
        value: likewise.
        mask: added to their scores, (B, 1, 1, n): -inf where an image has fewer than n; None where all have n.
    """

    key: Tensor
    value: Tensor
    mask: Optional[Tensor] = None


def fused_attention(attn: Any, query: Tensor, key: Tensor, value: Tensor, mask: Optional[Tensor] = None) -> Tensor:
    """Attend by one fused call, with timm's attention dropout: (B, N, heads, head_dim) -> (B, N, heads * head_dim)."""
    heads = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        attn_mask=None if mask is None else mask.to(query.dtype),
        dropout_p=attn.attn_drop.p if attn.training else 0.0,
    )
    return heads.transpose(1, 2).flatten(2)


def for_batch(side: Tensor, like: Tensor, batch: int) -> Tensor:
    """Expand what a batch shares, (n, heads, head_dim), to (B, n, heads, head_dim) in the type of ``like``.

    What differs from image to image is (B, n, heads, head_dim) already.
    The batch is the tokens' ``shape[0]``: exporters make a constant of ``len()``, and ONNX's one of the keys' shape.
    """
    return side.to(like.dtype).expand(batch, -1, -1, -1)
