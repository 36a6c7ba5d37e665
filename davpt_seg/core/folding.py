"""For deployment: what was learned goes into the trunk's weights, and prompts become keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, cast

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .projection import KeyValue
from .tuning import ProjectionBiases
from .zero_start import Beside, joined_beside, project_prompts

if TYPE_CHECKING:
    from .vit import PromptedViT


class FoldedPrompts(nn.Module):
    """The keys and values of every block's prompts, (n, heads, head_dim), as buffers.

    Args:
        beside: they join beside the tokens' softmax, see :mod:`~davpt_seg.core.zero_start`.
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


@torch.no_grad()
def fold(model: PromptedViT) -> None:
    """Fold a trained model for deployment, in place; it can't be trained further.

    LoRA, SSF and learned biases go into the trunk's weights (the same outputs but for rounding). Prompts that join as
    keys and values become those keys and values: bit for bit the same outputs in float32 and float64, but not under
    autocast, which would project them in low precision. Prompts that stay in the sequence, Adapter and AdaptFormer stay
    what they are, and guidance is dropped. A folded model stays as it is, in eval mode.
    """
    if model.folded is not None:
        return
    model.eval()
    model.adapters.merge(model.trunk)
    _merge_biases(model)
    folded = FoldedPrompts(model.starts_at_zero)
    for i, block in enumerate(model.trunk.blocks[: model.last + 1]):
        prompts, changes = model.joining(i)
        pair = None
        if prompts is not None and i != model.carry:
            pair = _projected(cast(Block, block), prompts, changes.beside or Beside())
        pair = joined_beside(pair, changes.extra, changes.beside or Beside())
        if pair is not None:
            folded.add(i, pair)
    model.folded = folded
    if "key_value_prompts" in model.adapters:
        del model.adapters["key_value_prompts"]
    if model.prompts:
        model.prompts = model.prompts.keep_only(model.carry)
    model.guidance = None
    model.requires_grad_(False)


def _projected(block: Block, prompts: Tensor, beside: Beside) -> KeyValue:
    initial = None if beside.initial is None else block.norm1(beside.initial)
    return project_prompts(cast(Attention, block.attn), block.norm1(prompts), initial, None)[1]


def _merge_biases(model: PromptedViT) -> None:
    for i, block in enumerate(model.trunk.blocks):
        offset = model.biases(i)
        if offset is not None:
            qkv = cast(Attention, block.attn).qkv
            qkv.bias = nn.Parameter(offset if qkv.bias is None else qkv.bias + offset)
    model.biases = ProjectionBiases()
