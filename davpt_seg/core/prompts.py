"""The learned prompts of every block (VPT-Deep, arXiv 2203.12119)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

NORMS = ("none", "l2", "layer")


class DeepPrompts(nn.Module):
    """A block's own prompts, for every block.

    Args:
        num_prompts: prompts in each block: one number for all, or one per block; 0 leaves a block bare.
        depth: number of blocks.
        embed_dim: width D.
        patch_size: (height, width) of a patch, which sets the range of the initial values.
        dropout: prompt dropout. It is drawn once a batch, since a batch shares its prompts.
        norm: what is done to the prompts before they enter a block: ``none``, ``l2`` (unit length) or ``layer``
            (zero mean, unit variance).

    Raises:
        ValueError: a count that is negative or not one per block, or an unknown norm.
    """

    def __init__(
        self,
        num_prompts: Union[int, Sequence[int]],
        depth: int,
        embed_dim: int,
        patch_size: tuple[int, int],
        dropout: float = 0.0,
        norm: str = "none",
    ) -> None:
        super().__init__()
        counts = [num_prompts] * depth if isinstance(num_prompts, int) else list(num_prompts)
        if len(counts) != depth or min(counts) < 0:
            raise ValueError(
                f"num_prompts must be one number >= 0, or {depth} of them (one per block), got {num_prompts}"
            )
        if norm not in NORMS:
            raise ValueError(f"prompts norm must be one of {NORMS}, got {norm!r}")
        self.counts = tuple(counts)
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.values = nn.ParameterDict(
            {str(i): nn.Parameter(torch.empty(count, embed_dim)) for i, count in enumerate(counts) if count}
        )
        self.reset_parameters(patch_size)

    def reset_parameters(self, patch_size: tuple[int, int]) -> None:
        """VPT's initialisation: uniform in +-sqrt(6 / (3 * patch area + D))."""
        for values in self.values.values():
            bound = math.sqrt(6.0 / (3 * patch_size[0] * patch_size[1] + values.shape[1]))
            nn.init.uniform_(values, -bound, bound)

    def forward(self, block: int) -> Optional[Tensor]:
        """Return the prompts of a block, (M, D), or None where it has none."""
        if not self.counts[block]:
            return None
        values: Tensor = self.values[str(block)]
        if self.norm == "l2":
            values = F.normalize(values, dim=-1)
        elif self.norm == "layer":
            values = F.layer_norm(values, values.shape[-1:])
        return self.dropout(values)
