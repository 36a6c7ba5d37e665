"""Blocks of several attentions beside each other, then several FFNs (arXiv 2203.09795)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import torch
from torch import Tensor

from ..projection import Projected
from .family import Family, Heads

#: Each attention of the block has a norm, a layer scale and a drop path, and is named as in timm's plain block.
PLAIN = Family()


class ParallelThingsFamily(Family):
    """``ParallelThingsBlock``: its P attentions are walked as one that has the heads of all.

    A block's prompts join each of its attentions, behind that one's norm. What enters is therefore (..., P * D), and
    queries, keys, values and ``output`` have the heads of all attentions, one attention after the other. That is what
    guidance records: P * D channels, which can't be compared with the D channels of a raw prompt. An adapter of the FFN
    reads the first FFN's input, and changes the sum of all FFNs.
    """

    def attention(self, block: Any) -> Heads:
        """Return the heads of all attentions."""
        first, number = block.attns[0].attn, len(block.attns)
        return Heads(number * first.num_heads, first.head_dim, first.scale, first.attn_drop, first.training)

    def enter(self, block: Any, tokens: Tensor) -> Tensor:
        """Normalise tokens or prompts (..., D) for each attention, (..., P * D)."""
        return torch.cat([part.norm(tokens) for part in block.attns], dim=-1)

    def sizes(self, block: Any) -> tuple[int, int, int]:
        """Return the output channels of all projections to queries, keys and values."""
        query, key, value = (sum(sizes) for sizes in zip(*(PLAIN.sizes(part) for part in block.attns)))
        return query, key, value

    def project(self, block: Any, entering: Tensor, offset: Optional[Tensor] = None) -> Projected:
        """Project by the ``qkv`` of each attention, with its share of an offset."""
        inputs, offsets = entering.chunk(len(block.attns), dim=-1), shares(block, offset)
        parts = [PLAIN.project(*each) for each in zip(block.attns, inputs, offsets)]
        return Projected(*(torch.cat(sides, dim=-2) for sides in zip(*parts)))

    def gather(self, block: Any, entering: Tensor, heads: Tensor) -> Tensor:
        """Return the attentions' outputs before their last projections, (B, N, P * heads * head_dim)."""
        number = len(block.attns)
        each = zip(block.attns, entering.chunk(number, dim=-1), heads.chunk(number, dim=-1))
        return torch.cat([PLAIN.gather(*parts) for parts in each], dim=-1)

    def leave(
        self,
        block: Any,
        tokens: Tensor,
        entering: Tensor,
        output: Tensor,
        hidden: Optional[Tensor],
        ffn: Optional[Callable[..., Tensor]],
    ) -> Tensor:
        """Add all attentions, and then all FFNs, to tokens (B, N, D)."""
        updates = []
        for part, own in zip(block.attns, output.chunk(len(block.attns), dim=-1)):
            update = part.attn.proj_drop(part.attn.proj(own))
            updates.append(part.drop_path(part.ls(update)))
        tokens = tokens + torch.stack(updates).sum(dim=0)
        update = torch.stack([part(tokens) for part in block.ffns]).sum(dim=0)
        if ffn is not None:
            update = ffn(block.ffns[0].norm(tokens), update)
        return tokens + update

    def merge_offset(self, block: Any, offset: Optional[Tensor]) -> None:
        """Add a learned offset to the bias of each ``qkv``."""
        for part, own in zip(block.attns, shares(block, offset)):
            PLAIN.merge_offset(part, own)


def shares(block: Any, offset: Optional[Tensor]) -> list[Optional[Tensor]]:
    """Return each attention's part of an offset on all queries, keys and values."""
    number = len(block.attns)
    if offset is None:
        return [None] * number
    return [own.flatten(-2) for own in offset.unflatten(-1, (3, number, -1)).unbind(-2)]
