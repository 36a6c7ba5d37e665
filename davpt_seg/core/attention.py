"""Attention with extra keys and values, exact, on fused scaled-dot-product attention.

A deep prompt's output is thrown away (VPT-Deep, arXiv 2203.12119; DA-VPT, arXiv 2505.23694, Eq. 1), so its query, its
attention row and its MLP change nothing. What is left of it is M more keys and values, and those depend on no image:
they are projected once a batch. The walk below calls timm's own modules (norms, ``qkv``, ``proj``, ``mlp``) in timm's
own order, so whatever wraps one of them (LoRA on ``qkv``, say) is felt here too.
"""

from __future__ import annotations

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


class Attended(NamedTuple):
    """What attention did in one block, for guidance and for pictures.

    Attributes:
        input: tokens after ``norm1``, (B, N, D).
        tokens: the tokens' projections, each (B, N, heads, head_dim).
        prompt_input: prompts after ``norm1``, (M, D), or None.
        prompts: the prompts' projections, each (M, heads, head_dim), or None.
        heads: attention output, heads concatenated, before the output projection, (B, N, heads * head_dim).
    """

    input: Tensor
    tokens: Projected
    prompt_input: Optional[Tensor]
    prompts: Optional[Projected]
    heads: Tensor


def project(attn: Attention, tokens: Tensor, bias: Optional[Tensor] = None) -> Projected:
    """Project tokens (..., N, D) with timm's fused ``qkv``, plus a learned offset ``bias`` (3 * heads * head_dim,)."""
    qkv = attn.qkv(tokens)
    if bias is not None:
        qkv = qkv + bias.to(qkv.dtype)  # without the cast, autocast would carry float32 on from here
    query, key, value = qkv.unflatten(-1, (3, attn.num_heads, attn.head_dim)).unbind(-3)
    return Projected(attn.q_norm(query), attn.k_norm(key), value)


def attend(
    attn: Attention, tokens: Tensor, prompts: Optional[Tensor] = None, bias: Optional[Tensor] = None
) -> Attended:
    """Let tokens attend to themselves and to prompts; prompts attend to nothing.

    Args:
        attn: timm's attention module; only its submodules are called.
        tokens: normalised tokens, (B, N, D).
        prompts: normalised prompts, (M, D), shared by the batch; None for none.
        bias: learned offset on the projections' bias, (3 * heads * head_dim,), felt by tokens and prompts alike.
    """
    own = project(attn, tokens, bias)
    query, key, value = own
    theirs = None
    if prompts is not None:
        theirs = project(attn, prompts, bias)
        expand = (len(tokens), -1, -1, -1)
        key = torch.cat([key, theirs.key.expand(expand)], dim=1)  # (B, N + M, heads, head_dim)
        value = torch.cat([value, theirs.value.expand(expand)], dim=1)
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
    return Attended(tokens, own, prompts, theirs, heads)


def prompted_block(
    block: Block, tokens: Tensor, prompts: Optional[Tensor] = None, bias: Optional[Tensor] = None
) -> tuple[Tensor, Attended]:
    """Run one pre-norm timm block on tokens (B, N, D) with prompts (M, D) as extra keys and values."""
    normed = None if prompts is None else block.norm1(prompts)
    attn = cast(Attention, block.attn)
    attended = attend(attn, block.norm1(tokens), normed, bias)
    update = attn.proj_drop(attn.proj(attended.heads))
    tokens = tokens + block.drop_path1(block.ls1(update))
    tokens = tokens + block.drop_path2(block.ls2(block.mlp(block.norm2(tokens))))
    return tokens, attended


def carried_block(
    block: Block, tokens: Tensor, prompts: Tensor, bias: Optional[Tensor] = None
) -> tuple[Tensor, Attended]:
    """Let prompts (M, D) join the sequence (B, N, D) at its end, and run one pre-norm timm block on all of them.

    This is how VPT-Shallow's prompts enter the first block (arXiv 2203.12119), and stay.

    Returns:
        Tokens (B, N + M, D); and what attention did, whose ``prompts`` are those of the first image, for at this block
        all images still have the same.
    """
    joined = prompts.to(tokens.dtype).expand(len(tokens), -1, -1)
    tokens, attended = prompted_block(block, torch.cat([tokens, joined], dim=1), None, bias)
    theirs = Projected(*(side[0, -len(prompts) :] for side in attended.tokens))
    return tokens, attended._replace(prompt_input=attended.input[0, -len(prompts) :], prompts=theirs)
