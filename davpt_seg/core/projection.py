"""Queries, keys and values, projected by timm's own modules."""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch.nn.functional as F
from timm.layers import Attention
from torch import Tensor


class Projected(NamedTuple):
    """Queries, keys and values, each (..., N, heads, head_dim), keys and queries after qk-norm."""

    query: Tensor
    key: Tensor
    value: Tensor


class KeyValue(NamedTuple):
    """Keys and values that tokens attend to, each (n, heads, head_dim), shared by the batch."""

    key: Tensor
    value: Tensor


def project(attn: Attention, tokens: Tensor, bias: Optional[Tensor] = None) -> Projected:
    """Project tokens (..., N, D) with timm's fused ``qkv``, plus a learned offset ``bias`` (3 * heads * head_dim,)."""
    qkv = attn.qkv(tokens)
    if bias is not None:
        qkv = qkv + bias.to(qkv.dtype)  # without the cast, autocast would carry float32 on from here
    query, key, value = qkv.unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(-3)
    return Projected(attn.q_norm(query), attn.k_norm(key), value)


def fused_attention(attn: Attention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Attend by one fused call, with timm's attention dropout: (B, N, heads, head_dim) -> (B, N, heads * head_dim)."""
    heads = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        dropout_p=attn.attn_drop.p if attn.training else 0.0,
    )
    return heads.transpose(1, 2).flatten(2)


def for_batch(shared: Tensor, like: Tensor, batch: int) -> Tensor:
    """Expand what a batch shares, (n, heads, head_dim), to (B, n, heads, head_dim) in the type of ``like``.

    The batch is the tokens' ``shape[0]``: exporters make a constant of ``len()``, and ONNX's one of the keys' shape.
    """
    return shared.to(like.dtype).expand(batch, -1, -1, -1)
