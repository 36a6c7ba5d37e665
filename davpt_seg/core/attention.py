"""Attention with extra keys and values, exact, on fused scaled-dot-product attention.

A deep prompt's output is thrown away (VPT-Deep, arXiv 2203.12119; DA-VPT, arXiv 2505.23694, Eq. 1), so its query, its
attention row and its MLP change nothing. What is left of it is M more keys and values, and those depend on no image:
they are projected once a batch. Where images have prompts of different tasks, each has its own keys and values, which
were projected before (:mod:`davpt_seg.core.task_bank`). The walk below calls timm's own modules (norms, ``qkv``,
``proj``, ``mlp``) in timm's own order, so whatever wraps one of them (LoRA on ``qkv``, say) takes effect here too. How
a kind of block projects, places and adds is its :class:`~davpt_seg.core.blocks.family.Family`; what is learned inside a
block besides prompts comes as :class:`Changes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor

from .blocks.family import Family
from .projection import KeyValue, Projected, for_batch, fused_attention
from .prompts.zero_start import Beside, joined_beside, project_prompts


class Changes(NamedTuple):
    """What is learned inside one block besides its prompts; None where nothing is.

    Attributes:
        bias: offset on the biases of queries, keys and values, one after the other, (3 * heads * head_dim,) where all
            have the same heads, felt by tokens and prompts alike; or each image's own, (B, 1, 3 * heads * head_dim).
        extra: keys and values after projection, of no token.
        temperature: what attention scores are divided by, a scalar tensor or (B, 1, 1, 1).
        ffn: what replaces the FFN's output, given its normalised input and that output, both (B, N, D).
        beside: how prompts and extra keys join beside the tokens' softmax; None for in it.
        apart: keys and values after projection that have a separate softmax, with the values that they add.
    """

    bias: Optional[Tensor] = None
    extra: Optional[KeyValue] = None
    temperature: Optional[Tensor] = None
    ffn: Optional[Callable[[Tensor, Tensor], Tensor]] = None
    beside: Optional[Beside] = None
    apart: Optional[KeyValue] = None


UNCHANGED = Changes()


class Attended(NamedTuple):
    """What attention did in one block, for guidance and for figures.

    Attributes:
        input: tokens as they enter attention, (B, N, D): after ``norm1`` in a pre-norm block.
        tokens: the tokens' projections, each (B, N, heads, head_dim); queries after the temperature. They are not
            rotated, so that they can be compared with prompts, which have no place.
        placed: the same as attention's softmax compares them; rotated in trunks with rotary positions (RoPE).
        prompt_input: prompts likewise, (M, D), or None.
        prompts: the prompts' projections, each (M, heads, head_dim), or None.
        extra: the block's further keys and values, or None.
        mask: what was added to the scores of the softmax of ``placed`` and what joins it, or None.
        beside: the keys and values that have a separate softmax, with the values that they add; or None.
        output: what attention returns, heads concatenated, before the output projection, (B, N, heads * head_dim).
        hidden: the hidden layer of an FFN beside attention, (B, N, hidden), or None.
    """

    input: Tensor
    tokens: Projected
    placed: Projected
    prompt_input: Optional[Tensor]
    prompts: Optional[Projected]
    extra: Optional[KeyValue]
    mask: Optional[Tensor]
    beside: Optional[KeyValue]
    output: Tensor
    hidden: Optional[Tensor]


def attend(
    family: Family,
    block: Any,
    tokens: Tensor,
    prompts: Optional[Tensor] = None,
    changes: Changes = UNCHANGED,
    position: Any = None,
) -> Attended:
    """Let tokens attend to themselves, to prompts and to extra keys; prompts attend to nothing.

    Args:
        family: how the block is walked.
        block: timm's block; only its submodules are called.
        tokens: tokens as they enter its attention, normalised in a pre-norm block, (B, N, D).
        prompts: prompts as they enter it, (M, D), shared by the batch; None for none.
        changes: what is learned inside; its ``ffn`` is not used here, and its initial prompts are given as
            the prompts are.
        position: the tokens' places in the family's form, or None.
    """
    project = partial(family.project, block, offset=changes.bias)
    own, hidden = family.project_tokens(block, tokens, changes.bias)
    if changes.temperature is not None:
        own = own._replace(query=own.query / changes.temperature)
    placed = family.placed(block, own, position)
    theirs = added = None
    joining: list[Union[Projected, KeyValue]] = []
    if changes.beside is None:
        theirs = None if prompts is None else project(prompts)
        joining = [side for side in (theirs, changes.extra) if side is not None]
    elif prompts is not None:
        theirs, added = project_prompts(project, prompts, changes.beside.initial)
    attention, batch = family.attention(block), tokens.shape[0]
    query, key, value = _joined(placed, joining, batch)
    mask = family.mask(block, position, query.shape[1], key.shape[1])
    if joining and changes.extra is not None:
        mask = _padded(mask, changes.extra.mask, key.shape[1])
    heads = fused_attention(attention, query, key, value, mask)
    beside = changes.apart
    if changes.beside is not None:
        beside = joined_beside(added, changes.extra, changes.beside)
    if beside is not None:
        key, value = (for_batch(side, placed.query, batch) for side in beside[:2])
        heads = heads + fused_attention(attention, placed.query, key, value, beside.mask)
    output = family.gather(block, tokens, heads)  # (B, N, heads * head_dim)
    return Attended(tokens, own, placed, prompts, theirs, changes.extra, mask, beside, output, hidden)


def _joined(placed: Projected, joining: Sequence[Union[Projected, KeyValue]], batch: int) -> Projected:
    """Let keys and values of no place join the tokens' softmax."""
    query, key, value = placed
    if not joining:
        return placed
    # (B, N + M + n, heads, head_dim)
    key = torch.cat([key, *(for_batch(side.key, key, batch) for side in joining)], dim=1)
    value = torch.cat([value, *(for_batch(side.value, value, batch) for side in joining)], dim=1)
    # until a backward pass, a view of the queries would keep all of the qkv product alive
    return Projected(query.contiguous() if torch.is_grad_enabled() else query, key, value)


def _padded(mask: Optional[Tensor], last: Optional[Tensor], keys: int) -> Optional[Tensor]:
    """Add the mask of the last keys, (B, 1, 1, n), to that of all, (heads, queries, keys) or None for 0."""
    if last is None:
        return mask
    last = F.pad(last, (keys - last.shape[3], 0))
    return last if mask is None else mask + last


def prompted_block(
    family: Family,
    block: Any,
    tokens: Tensor,
    prompts: Optional[Tensor] = None,
    changes: Changes = UNCHANGED,
    position: Any = None,
) -> tuple[Tensor, Attended]:
    """Run one timm block on tokens (B, N, D) with prompts (M, D) as extra keys and values."""
    theirs = None if prompts is None else family.enter(block, prompts)
    if changes.beside is not None and changes.beside.initial is not None:
        changes = changes._replace(beside=changes.beside._replace(initial=family.enter(block, changes.beside.initial)))
    entering = family.enter(block, tokens)
    attended = attend(family, block, entering, theirs, changes, position)
    return family.leave(block, tokens, entering, attended.output, attended.hidden, changes.ffn), attended


def carried_block(
    family: Family,
    block: Any,
    tokens: Tensor,
    prompts: Tensor,
    changes: Changes = UNCHANGED,
    position: Any = None,
) -> tuple[Tensor, Attended]:
    """Let prompts (M, D) join the sequence (B, N, D) at its end, and run one timm block on all of them.

    This is how VPT-Shallow's prompts enter the first block (arXiv 2203.12119), and stay.

    Returns:
        Tokens (B, N + M, D); and what attention did, whose ``prompts`` are those of the first image, for at this block
        all images still have the same.
    """
    joined = torch.cat([tokens, prompts.to(tokens.dtype).expand(tokens.shape[0], -1, -1)], dim=1)
    tokens, attended = prompted_block(family, block, joined, None, changes, position)
    theirs = Projected(*(side[0, -prompts.shape[0] :] for side in attended.tokens))
    return tokens, attended._replace(prompt_input=attended.input[0, -prompts.shape[0] :], prompts=theirs)
