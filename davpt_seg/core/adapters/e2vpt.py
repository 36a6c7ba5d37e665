"""E2VPT's key-value prompts: learned keys and values in every head."""

from __future__ import annotations

import math
from typing import Optional

import torch
from torch import Tensor, nn

from ..annotations import Count, Size
from ..arguments import checked
from ..blocks import Trunk, family_of
from ..prompts.zero_start import InitialValues
from .base import Adapter


class KeyValuePrompts(Adapter):
    """Prompts of every head, put to its keys and values after projection (E2VPT, arXiv 2307.13770, Sec. 3.2).

    One tensor is both key and value, and each block has its own. Together with deep prompts, and their pruning
    (:mod:`davpt_seg.core.prompts.importance`), this is E2VPT. They start as in the released code, uniform within
    +-sqrt(6 / (n * head_dim)) (He's initialisation).

    Args:
        num_prompts: n, in each head of every block.

    Raises:
        ValueError: a number below 1.
    """

    place = "the keys and values"

    @checked("adapter 'key_value_prompts'")
    def __init__(self, trunk: Trunk, num_prompts: Size = 5, depth: Optional[Count] = None) -> None:
        super().__init__()
        attention = [family_of(block).attention(block) for block in trunk.blocks[:depth]]
        self.initial: Optional[InitialValues] = None
        self.values = nn.ParameterList(torch.empty(num_prompts, a.num_heads, a.head_dim) for a in attention)
        for values in self.values:
            bound = math.sqrt(6.0 / (num_prompts * values.shape[-1]))
            nn.init.uniform_(values, -bound, bound)

    def key_value(self, block: int) -> Tensor:
        """Return a block's prompts, (n, heads, head_dim)."""
        return self.values[block]

    def keep_initial(self) -> None:
        """Keep copies of all blocks' prompts as buffers."""
        self.initial = InitialValues()
        for block, values in enumerate(self.values):
            self.initial.keep(str(block), values)

    def initial_key_value(self, block: int) -> Optional[Tensor]:
        """Return the copy of a block's prompts, (n, heads, head_dim), or None."""
        return None if self.initial is None else self.initial(str(block))
