"""ViT-22B's blocks (arXiv 2302.05442): attention and FFN beside each other, behind one norm and one layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

import torch.nn.functional as F
from torch import Tensor

from ..projection import Projected
from .family import Family, add_bias, shifted


class ParallelScalingFamily(Family):
    """``ParallelScalingBlock``: ``in_proj`` returns the FFN's hidden layer, queries, keys and values.

    Of prompts, only the projections are read. The one layer scale is of the sum of attention and FFN, so an adapter of
    the FFN changes the FFN's output before it.
    """

    def attention(self, block: Any) -> Any:
        """Return the block, which is its own attention."""
        return block

    def enter(self, block: Any, tokens: Tensor) -> Tensor:
        """Normalise tokens or prompts (..., D)."""
        return block.in_norm(tokens)

    def sizes(self, block: Any) -> tuple[int, int, int]:
        """Return the output channels of the projections to queries, keys and values."""
        _, query, key, value = block.in_split
        return query, key, value

    def project(self, block: Any, entering: Tensor, offset: Optional[Tensor] = None) -> Projected:
        """Project by a part of ``in_proj``."""
        return self.project_tokens(block, entering, offset)[0]

    def project_tokens(
        self, block: Any, entering: Tensor, offset: Optional[Tensor] = None
    ) -> tuple[Projected, Optional[Tensor]]:
        """Project by ``in_proj``, which also returns the FFN's hidden layer (B, N, hidden)."""
        hidden, *projections = block.in_split
        hidden, qkv = block.in_proj(entering).split([hidden, sum(projections)], dim=-1)
        query, key, value = shifted(qkv, offset).unflatten(-1, (3, block.num_heads, block.head_dim)).unbind(-3)
        return Projected(block.q_norm(query), block.k_norm(key), value), hidden

    def gather(self, block: Any, entering: Tensor, heads: Tensor) -> Tensor:
        """Return the concatenated heads (B, N, heads * head_dim) as they are."""
        return heads

    def leave(
        self,
        block: Any,
        tokens: Tensor,
        entering: Tensor,
        output: Tensor,
        hidden: Optional[Tensor],
        ffn: Optional[Callable[..., Tensor]],
    ) -> Tensor:
        """Add the sum of attention and FFN to tokens (B, N, D)."""
        assert hidden is not None  # project_tokens returns it
        if block.mlp_bias is not None:
            hidden = shifted(hidden, block.mlp_bias)
        update = block.mlp_out_proj(block.mlp_drop(block.mlp_act(hidden)))
        if ffn is not None:
            update = ffn(entering, update)
        return tokens + block.drop_path(block.ls(block.attn_out_proj(output) + update))

    def merge_offset(self, block: Any, offset: Optional[Tensor]) -> None:
        """Add a learned offset to the bias of ``in_proj``; one that it lacks is made."""
        if offset is not None:
            add_bias(block.in_proj, F.pad(offset, (block.in_split[0], 0)))
