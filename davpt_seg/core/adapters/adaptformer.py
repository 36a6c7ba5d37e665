"""AdaptFormer: a bottleneck beside each block's FFN."""

from __future__ import annotations

from typing import Optional

import torch.nn.functional as F
from torch import Tensor, nn

from ..annotations import Count, Positive, Probability, Size
from ..arguments import checked
from ..blocks import Trunk
from .adapter import Bottleneck
from .base import Adapter


class ParallelBottleneck(Bottleneck):
    """The FFN's output y for the input x becomes y + scale * up(dropout(relu(down(x))))."""

    def __init__(self, embed_dim: int, width: int, scale: float, dropout: float) -> None:
        super().__init__(embed_dim, width)
        self.scale = scale
        self.dropout = nn.Dropout(dropout)

    def forward(self, entering: Tensor, update: Tensor) -> Tensor:
        """Add to the FFN's output ``update`` what the bottleneck makes of its input, both (B, N, D)."""
        return update + self.scale * self.up(self.dropout(F.relu(self.down(entering))))


class AdaptFormer(Adapter):
    """A bottleneck parallel to the FFN of every block (AdaptFormer, arXiv 2205.13535, Sec. 3.2).

    It reads the FFN's own, normalised input, as the paper's equation has it (the released code feeds it the tokens
    before the norm), and joins behind the trunk's layer scale where there is one, and before drop path (the released
    code adds it after that). It starts as the identity.

    Args:
        width: the bottleneck's width; the released code's default is 64.
        scale: its output is multiplied by this.
        dropout: in the bottleneck, in training; the released code has 0.1.

    Raises:
        ValueError: a width below 1, a scale that is not above 0, a dropout outside [0, 1).
    """

    place = "the FFN's output"

    @checked("adapter 'adaptformer'")
    def __init__(
        self,
        trunk: Trunk,
        width: Size = 64,
        scale: Positive = 0.1,
        dropout: Probability = 0.0,
        depth: Optional[Count] = None,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            ParallelBottleneck(trunk.embed_dim, width, scale, dropout) for _ in trunk.blocks[:depth]
        )

    def ffn(self, block: int) -> nn.Module:
        """Return a block's bottleneck."""
        return self.blocks[block]
