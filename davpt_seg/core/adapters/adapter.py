"""Adapter: a bottleneck after each block's FFN."""

from __future__ import annotations

from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn

from ..annotations import Count, Size
from ..arguments import checked
from ..blocks import Trunk
from .base import Adapter


class Bottleneck(nn.Module):
    """Down-projection and up-projection; the up-projection and both biases start at zero, the down-projection does not.

    Args:
        embed_dim: width D.
        width: the bottleneck's width.
    """

    def __init__(self, embed_dim: int, width: int) -> None:
        super().__init__()
        self.down = nn.Linear(embed_dim, width)
        self.up = nn.Linear(width, embed_dim)
        for start_at_zero in (self.down.bias, self.up.weight, self.up.bias):
            nn.init.zeros_(start_at_zero)


class SequentialBottleneck(Bottleneck):
    """The FFN's output y becomes y + up(gelu(down(y)))."""

    def forward(self, entering: Tensor, update: Tensor) -> Tensor:
        """Change the FFN's output ``update``, (B, N, D)."""
        return update + self.up(F.gelu(self.down(update)))


class HoulsbyAdapter(Adapter):
    """A bottleneck after the FFN of every block (Houlsby et al., arXiv 1902.00751, who have one after attention, too).

    It stands before the residual sum, and behind the trunk's layer scale where there is one. It starts as the identity.
    VPT's code (arXiv 2203.12119) has it at the same place, but starts both projections at zero: neither weight then
    ever has a gradient, and only the up-projection's bias learns.

    Args:
        width: the bottleneck's width; VPT's code has D / 8 by default.

    Raises:
        ValueError: a width below 1.
    """

    place = "the FFN's output"

    @checked("adapter 'adapter'")
    def __init__(self, trunk: Trunk, width: Size, depth: Optional[Count] = None) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(SequentialBottleneck(trunk.embed_dim, width) for _ in trunk.blocks[:depth])

    def ffn(self, block: int) -> nn.Module:
        """Return a block's bottleneck."""
        return self.blocks[block]
