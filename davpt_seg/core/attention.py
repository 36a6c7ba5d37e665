"""Attention with extra keys and values, exact, on fused scaled-dot-product attention.

A deep prompt's output is thrown away (VPT-Deep, arXiv 2203.12119; DA-VPT, arXiv 2505.23694, Eq. 1), so its query, its
attention row and its MLP change nothing. What is left of it is M more keys and values, and those depend on no image:
they are projected once a batch. The walk below calls timm's own modules (norms, ``qkv``, ``proj``, ``mlp``) in timm's
own order, so whatever wraps one of them (LoRA on ``qkv``, say) is felt here too. What is learned inside a block besides
comes as :class:`Changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Optional, Union, cast

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor

from .projection import KeyValue, Projected, for_batch, fused_attention, project
from .prompts.zero_start import Beside, joined_beside, project_prompts


class Changes(NamedTuple):
    """What is learned inside one block besides its prompts; None where nothing is.

    Attributes:
        bias: offset on the bias of the fused projection, (3 * heads * head_dim,), felt by tokens and prompts alike.
        extra: keys and values after projection, of no token.
        temperature: what attention scores are divided by, a scalar tensor.
        ffn: what replaces the FFN's output, given its normalised input and that output, both (B, N, D).
        beside: how prompts and extra keys join beside the tokens' softmax; None for in it.
    """

    bias: Optional[Tensor] = None
    extra: Optional[KeyValue] = None
    temperature: Optional[Tensor] = None
    ffn: Optional[Callable[[Tensor, Tensor], Tensor]] = None
    beside: Optional[Beside] = None


UNCHANGED = Changes()


class Attended(NamedTuple):
    """What attention did in one block, for guidance and for pictures.

    Attributes:
        input: tokens after ``norm1``, (B, N, D).
        tokens: the tokens' projections, each (B, N, heads, head_dim); queries after the temperature.
        prompt_input: prompts after ``norm1``, (M, D), or None.
        prompts: the prompts' projections, each (M, heads, head_dim), or None.
        extra: the block's further keys and values, or None.
        beside: the keys and values that have a softmax of their own, with the values that they add; or None.
        output: what attention returns, heads concatenated, before the output projection, (B, N, heads * head_dim).
    """

    input: Tensor
    tokens: Projected
    prompt_input: Optional[Tensor]
    prompts: Optional[Projected]
    extra: Optional[KeyValue]
    beside: Optional[KeyValue]
    output: Tensor


def attend(attn: Attention, tokens: Tensor, prompts: Optional[Tensor] = None, changes: Changes = UNCHANGED) -> Attended:
    """Let tokens attend to themselves, to prompts and to extra keys; prompts attend to nothing.

    Args:
        attn: timm's attention module; only its submodules are called.
        tokens: normalised tokens, (B, N, D).
        prompts: normalised prompts, (M, D), shared by the batch; None for none.
        changes: what is learned inside; its ``ffn`` is not for here, and initial prompts are normalised too.
    """
    own = project(attn, tokens, changes.bias)
    if changes.temperature is not None:
        own = own._replace(query=own.query / changes.temperature)
    theirs = beside = None
    if changes.beside is None:
        theirs = None if prompts is None else project(attn, prompts, changes.bias)
        joining = [side for side in (theirs, changes.extra) if side is not None]
        output = _one_softmax(attn, own, joining, tokens.shape[0])
    else:
        added = None
        if prompts is not None:
            theirs, added = project_prompts(attn, prompts, changes.beside.initial, changes.bias)
        beside = joined_beside(added, changes.extra, changes.beside)
        output = _two_softmaxes(attn, own, beside, tokens.shape[0])
    output = attn.norm(output)  # (B, N, heads * head_dim)
    if attn.gate is not None:
        output = output * attn.gate(tokens).sigmoid()
    return Attended(tokens, own, prompts, theirs, changes.extra, beside, output)


def _one_softmax(attn: Attention, own: Projected, joining: Sequence[Union[Projected, KeyValue]], batch: int) -> Tensor:
    """Let tokens attend to themselves and to what joins them."""
    query, key, value = own
    if joining:
        # (B, N + M + n, heads, head_dim)
        key = torch.cat([key, *(for_batch(side.key, key, batch) for side in joining)], dim=1)
        value = torch.cat([value, *(for_batch(side.value, value, batch) for side in joining)], dim=1)
        query = query.contiguous()  # a view would keep the whole qkv product alive until backward
    return fused_attention(attn, query, key, value)


def _two_softmaxes(attn: Attention, own: Projected, beside: Optional[KeyValue], batch: int) -> Tensor:
    """Let tokens attend to themselves as in the bare trunk, and add what they find beside."""
    heads = fused_attention(attn, *own)
    if beside is None:
        return heads
    key, value = (for_batch(side, own.query, batch) for side in beside)
    return heads + fused_attention(attn, own.query, key, value)


def prompted_block(
    block: Block, tokens: Tensor, prompts: Optional[Tensor] = None, changes: Changes = UNCHANGED
) -> tuple[Tensor, Attended]:
    """Run one pre-norm timm block on tokens (B, N, D) with prompts (M, D) as extra keys and values."""
    normed = None if prompts is None else block.norm1(prompts)
    if changes.beside is not None and changes.beside.initial is not None:
        changes = changes._replace(beside=changes.beside._replace(initial=block.norm1(changes.beside.initial)))
    attn = cast(Attention, block.attn)
    attended = attend(attn, block.norm1(tokens), normed, changes)
    update = attn.proj_drop(attn.proj(attended.output))
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
