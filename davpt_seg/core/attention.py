"""Attention with extra keys and values, exact, on fused scaled-dot-product attention.

A deep prompt's output is thrown away (VPT-Deep, arXiv 2203.12119; DA-VPT, arXiv 2505.23694, Eq. 1), so its query, its
attention row and its MLP change nothing. What is left of it is M more keys and values, and those depend on no image:
they are projected once a batch. The walk below calls timm's own modules (norms, ``qkv``, ``proj``, ``mlp``) in timm's
own order, so whatever wraps one of them (LoRA on ``qkv``, say) is felt here too. What is learned inside a block besides
comes as :class:`Changes`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Optional, cast

import torch
import torch.nn.functional as F
from timm.layers import Attention
from timm.models.vision_transformer import Block
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


class Changes(NamedTuple):
    """What is learned inside one block besides its prompts; None where nothing is.

    Attributes:
        bias: offset on the bias of the fused projection, (3 * heads * head_dim,), felt by tokens and prompts alike.
        extra: keys and values after projection, of no token.
        temperature: what attention scores are divided by, a scalar tensor.
        ffn: what replaces the FFN's output, given its normalised input and that output, both (B, N, D).
    """

    bias: Optional[Tensor] = None
    extra: Optional[KeyValue] = None
    temperature: Optional[Tensor] = None
    ffn: Optional[Callable[[Tensor, Tensor], Tensor]] = None


UNCHANGED = Changes()


class Attended(NamedTuple):
    """What attention did in one block, for guidance and for pictures.

    Attributes:
        input: tokens after ``norm1``, (B, N, D).
        tokens: the tokens' projections, each (B, N, heads, head_dim); queries after the temperature.
        prompt_input: prompts after ``norm1``, (M, D), or None.
        prompts: the prompts' projections, each (M, heads, head_dim), or None.
        extra: the block's further keys and values, or None.
        heads: attention output, heads concatenated, before the output projection, (B, N, heads * head_dim).
    """

    input: Tensor
    tokens: Projected
    prompt_input: Optional[Tensor]
    prompts: Optional[Projected]
    extra: Optional[KeyValue]
    heads: Tensor


def project(attn: Attention, tokens: Tensor, bias: Optional[Tensor] = None) -> Projected:
    """Project tokens (..., N, D) with timm's fused ``qkv``, plus a learned offset ``bias`` (3 * heads * head_dim,)."""
    qkv = attn.qkv(tokens)
    if bias is not None:
        qkv = qkv + bias.to(qkv.dtype)  # without the cast, autocast would carry float32 on from here
    query, key, value = qkv.unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(-3)
    return Projected(attn.q_norm(query), attn.k_norm(key), value)


def attend(attn: Attention, tokens: Tensor, prompts: Optional[Tensor] = None, changes: Changes = UNCHANGED) -> Attended:
    """Let tokens attend to themselves, to prompts and to extra keys; prompts attend to nothing.

    Args:
        attn: timm's attention module; only its submodules are called.
        tokens: normalised tokens, (B, N, D).
        prompts: normalised prompts, (M, D), shared by the batch; None for none.
        changes: what is learned inside; its ``ffn`` is not for here.
    """
    own = project(attn, tokens, changes.bias)
    if changes.temperature is not None:
        own = own._replace(query=own.query / changes.temperature)
    theirs = None if prompts is None else project(attn, prompts, changes.bias)
    query, key, value = own
    joining = [side for side in (theirs, changes.extra) if side is not None]
    if joining:
        # (B, N + M + n, heads, head_dim)
        key = torch.cat([key, *(_for_batch(side.key, key, tokens.shape[0]) for side in joining)], dim=1)
        value = torch.cat([value, *(_for_batch(side.value, value, tokens.shape[0]) for side in joining)], dim=1)
        query = query.contiguous()  # a view would keep the whole qkv product alive until backward
    heads = F.scaled_dot_product_attention(
        query.transpose(1, 2),
        key.transpose(1, 2),
        value.transpose(1, 2),
        dropout_p=attn.attn_drop.p if attn.training else 0.0,
    )
    heads = attn.norm(heads.transpose(1, 2).flatten(2))  # (B, N, heads * head_dim)
    if attn.gate is not None:
        heads = heads * attn.gate(tokens).sigmoid()
    return Attended(tokens, own, prompts, theirs, changes.extra, heads)


def _for_batch(shared: Tensor, like: Tensor, batch: int) -> Tensor:
    """Expand what a batch shares, (n, heads, head_dim), to (B, n, heads, head_dim) in the type of ``like``.

    The batch is the tokens' ``shape[0]``: exporters make a constant of ``len()``, and ONNX's one of the keys' shape.
    """
    return shared.to(like.dtype).expand(batch, -1, -1, -1)


def prompted_block(
    block: Block, tokens: Tensor, prompts: Optional[Tensor] = None, changes: Changes = UNCHANGED
) -> tuple[Tensor, Attended]:
    """Run one pre-norm timm block on tokens (B, N, D) with prompts (M, D) as extra keys and values."""
    normed = None if prompts is None else block.norm1(prompts)
    attn = cast(Attention, block.attn)
    attended = attend(attn, block.norm1(tokens), normed, changes)
    update = attn.proj_drop(attn.proj(attended.heads))
    tokens = tokens + block.drop_path1(block.ls1(update))
    entering = block.norm2(tokens)
    update = block.ls2(block.mlp(entering))
    if changes.ffn is not None:
        update = changes.ffn(entering, update)
    tokens = tokens + block.drop_path2(update)
    return tokens, attended


def carried_block(
    block: Block, tokens: Tensor, prompts: Tensor, changes: Changes = UNCHANGED
) -> tuple[Tensor, Attended]:
    """Let prompts (M, D) join the sequence (B, N, D) at its end, and run one pre-norm timm block on all of them.

    This is how VPT-Shallow's prompts enter the first block (arXiv 2203.12119), and stay.

    Returns:
        Tokens (B, N + M, D); and what attention did, whose ``prompts`` are those of the first image, for at this block
        all images still have the same.
    """
    joined = prompts.to(tokens.dtype).expand(tokens.shape[0], -1, -1)
    tokens, attended = prompted_block(block, torch.cat([tokens, joined], dim=1), None, changes)
    theirs = Projected(*(side[0, -prompts.shape[0] :] for side in attended.tokens))
    return tokens, attended._replace(prompt_input=attended.input[0, -prompts.shape[0] :], prompts=theirs)
