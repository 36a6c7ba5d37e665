"""Post-norm blocks of timm: tokens and prompts enter attention as they are, and what it returns is normalised."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from .eva import EvaFamily
from .family import Family


class ResPostFamily(Family):
    """``ResPostBlock``: the norms follow attention and FFN, where a pre-norm block has its layer scales.

    An adapter of the FFN reads the tokens themselves, and changes what the norm returned.
    """

    def enter(self, block: Any, tokens: Tensor) -> Tensor:
        """Return tokens or prompts (..., D) as they are."""
        return tokens

    def enter_ffn(self, block: Any, tokens: Tensor) -> Tensor:
        """Return tokens (B, N, D) as they are."""
        return tokens

    def scale_attention(self, block: Any, update: Tensor) -> Tensor:
        """Normalise what attention returned."""
        return block.norm1(update)

    def scale_ffn(self, block: Any, update: Tensor) -> Tensor:
        """Normalise what the FFN returned."""
        return block.norm2(update)


class EvaPostNormFamily(ResPostFamily, EvaFamily):
    """``EvaBlockPostNorm``: the same order of steps, with the attention of EVA."""
