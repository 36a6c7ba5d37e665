"""For deployment: what was learned goes into the trunk's weights, and prompts become keys and values."""

from __future__ import annotations

from typing import Optional, cast

from timm.layers import Attention
from timm.models.vision_transformer import Block, VisionTransformer
from torch import Tensor, nn

from .attention import Changes
from .projection import KeyValue
from .prompts.zero_start import Beside, joined_beside, project_prompts
from .tuning import ProjectionBiases


class FoldedPrompts(nn.Module):
    """The keys and values of every block's prompts, (n, heads, head_dim), as buffers.

    Args:
        beside: they join beside the tokens' softmax, see :mod:`~davpt_seg.core.prompts.zero_start`.
    """

    def __init__(self, beside: bool) -> None:
        super().__init__()
        self.beside = beside

    def add(self, block: int, pair: KeyValue) -> None:
        """Keep a block's."""
        self.register_buffer(f"key_{block}", pair.key)
        self.register_buffer(f"value_{block}", pair.value)

    def forward(self, block: int) -> Optional[KeyValue]:
        """Return a block's, or None."""
        if not hasattr(self, f"key_{block}"):
            return None
        return KeyValue(self.get_buffer(f"key_{block}"), self.get_buffer(f"value_{block}"))


def folded_pair(block: Block, prompts: Optional[Tensor], changes: Changes) -> Optional[KeyValue]:
    """Return the keys and values that a block's prompts (M, D) and extra keys join as, or None where there are none."""
    beside, pair = changes.beside or Beside(), None
    if prompts is not None:
        initial = None if beside.initial is None else block.norm1(beside.initial)
        pair = project_prompts(cast(Attention, block.attn), block.norm1(prompts), initial, None)[1]
    return joined_beside(pair, changes.extra, beside)


def merge_biases(trunk: VisionTransformer, biases: ProjectionBiases) -> None:
    """Add learned offsets to the biases of the trunk's fused projections."""
    for i, block in enumerate(trunk.blocks):
        offset = biases(i)
        if offset is not None:
            qkv = cast(Attention, block.attn).qkv
            qkv.bias = nn.Parameter(offset if qkv.bias is None else qkv.bias + offset)
