"""Attention of tokens to the prompts of one block, head by head, without a matrix of all tokens."""

from __future__ import annotations

from typing import NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.attention import Attended
from ..core.precision import without_autocast
from ..core.projection import for_batch
from ..core.vit import PromptedViT
from ..errors import InputError

#: Queries whose attention rows are in memory at the same time.
QUERIES = 256


class OnPrompts(NamedTuple):
    """Attention to the M prompts of a block.

    Attributes:
        shares: weights of each prompt, (B, heads, T, M). Prompts in the tokens' softmax have a part of its weights;
            zero-start prompts have a separate softmax, whose weights add up to 1 over prompts and extra keys (E2VPT).
        strength: what all prompts have, (B, T): in the tokens' softmax the sum of their shares, mean over heads; beside
            it the norm of what prompts and extra keys add to attention, relative to the tokens' own output.
    """

    shares: Tensor
    strength: Tensor


def prompt_counts(model: PromptedViT) -> tuple[int, ...]:
    """Return the number of prompts that each block's tokens attend to.

    Persistent prompts (VPT-Shallow's, for instance) count in all later blocks that have no prompts of their own.
    """
    if not model.prompts:
        return (0,) * model.depth
    carry, counts = model.carry, model.prompts.counts
    if carry is None:
        return counts
    return tuple(count or (counts[carry] if carry < i <= model.last else 0) for i, count in enumerate(counts))


def block_with_prompts(model: PromptedViT, block: int) -> int:
    """Return the index of a block with prompts, counted from 0.

    Args:
        model: prompted ViT.
        block: index, negative from the last.

    Raises:
        InputError: the block does not exist or has no prompts.
    """
    counts = prompt_counts(model)
    if not -model.depth <= block < model.depth or not counts[block]:
        raise InputError(f"block {block} has no prompts; the {model.depth} blocks have (from 0) {counts}")
    return block % model.depth


@torch.no_grad()
def attention_on_prompts(model: PromptedViT, attended: Attended, block: int) -> OnPrompts:
    """Return how much each of T tokens attends to each prompt of a block, in float32 or wider.

    The softmax of VPT-Deep (arXiv 2203.12119; DA-VPT arXiv 2505.23694, Eq. 1) is over tokens, prompts and extra keys;
    that of zero-start prompts is described in :mod:`davpt_seg.core.prompts.zero_start`. Rows of
    :data:`QUERIES` tokens are computed at a time, and only the prompts' columns are kept.

    Args:
        model: prompted ViT in eval mode.
        attended: what the block's attention did, from :meth:`PromptedViT.walk`.
        block: index of the block, counted from 0; it has prompts (:func:`block_with_prompts`).
    """
    rows = _beside if attended.beside is not None else _joint
    tokens = attended.placed.query.shape[1]
    with without_autocast(attended.input.device):
        parts = [rows(model, attended, block, slice(at, at + QUERIES)) for at in range(0, tokens, QUERIES)]
    return OnPrompts(torch.cat([part.shares for part in parts], dim=2), torch.cat([part.strength for part in parts], 1))


def _joint(model: PromptedViT, attended: Attended, block: int, rows: slice) -> OnPrompts:
    """Return the shares of prompts in the tokens' softmax, for some queries."""
    assert model.prompts is not None
    key, batch = attended.placed.key, attended.input.shape[0]  # (B, tokens, heads, head_dim)
    count = prompt_counts(model)[block]
    if model.prompts.counts[block] and block != model.carry:  # persistent prompts are tokens, the last ones
        assert attended.prompts is not None
        key = torch.cat([key, for_batch(attended.prompts.key, key, batch)], dim=1)
    columns = slice(key.shape[1] - count, key.shape[1])
    if attended.extra is not None:  # E2VPT's keys have shares, too
        key = torch.cat([key, for_batch(attended.extra.key, key, batch)], dim=1)
    shares = _softmax(model, attended, block, rows, key, attended.mask)[..., columns]
    return OnPrompts(shares, shares.sum(dim=3).mean(dim=1))


def _beside(model: PromptedViT, attended: Attended, block: int, rows: slice) -> OnPrompts:
    """Return the weights of prompts in their own softmax, and the relative norm of what they add."""
    assert model.prompts is not None and attended.beside is not None
    batch, placed = attended.input.shape[0], attended.placed
    key, value = (for_batch(side, placed.key, batch) for side in attended.beside[:2])
    weights = _softmax(model, attended, block, rows, key, None)  # (B, heads, rows, M + n)
    query, keys, values = (side.to(weights.dtype).transpose(1, 2) for side in placed)
    mask = _rows_of(attended.mask, rows, weights.dtype)
    own = F.scaled_dot_product_attention(query[:, :, rows], keys, values, attn_mask=mask)
    added = weights @ value.to(weights.dtype).transpose(1, 2)
    return OnPrompts(weights[..., : model.prompts.counts[block]], added.norm(dim=(1, 3)) / own.norm(dim=(1, 3)))


def _softmax(
    model: PromptedViT, attended: Attended, block: int, rows: slice, key: Tensor, mask: Optional[Tensor]
) -> Tensor:
    """Return weights (B, heads, rows, keys) of keys (B, keys, heads, head_dim)."""
    dtype = torch.promote_types(key.dtype, torch.float32)
    query = attended.placed.query[:, rows].to(dtype)
    scale = model.families[block].attention(model.trunk.blocks[block]).scale
    scores = torch.einsum("bqhd,bkhd->bhqk", scale * query, key.to(dtype))
    part = _rows_of(mask, rows, dtype)
    return (scores if part is None else scores + part).softmax(dim=-1)


def _rows_of(mask: Optional[Tensor], rows: slice, dtype: torch.dtype) -> Optional[Tensor]:
    """Return a mask's part, (..., rows or 1, keys), for some queries."""
    if mask is None:
        return None
    return (mask if mask.shape[-2] == 1 else mask[..., rows, :]).to(dtype)
