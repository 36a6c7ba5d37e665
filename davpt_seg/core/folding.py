"""For deployment: what was learned goes into the trunk's weights, and prompts become keys and values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Optional, cast

import torch
from timm.layers import Attention
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from .attention import KeyValue, project
from .tuning import ProjectionBiases

if TYPE_CHECKING:
    from .vit import PromptedViT


class FoldedPrompts(nn.Module):
    """The keys and values of every block's prompts, (n, heads, head_dim), as buffers."""

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
    model.folded = FoldedPrompts()
    for i, block in enumerate(model.trunk.blocks[: model.last + 1]):
        pairs = []
        prompts = model.prompts(i) if model.prompts else None
        if prompts is not None and i != model.carry:
            projected = project(cast(Attention, block.attn), cast(Block, block).norm1(prompts))
            pairs.append(KeyValue(projected.key, projected.value))
        own: Optional[Tensor] = model.adapters.key_value(i)
        if own is not None:
            pairs.append(KeyValue(own, own))
        if pairs:
            model.folded.add(i, KeyValue(*(torch.cat(side) for side in zip(*pairs))))
    if "key_value_prompts" in model.adapters:
        del model.adapters["key_value_prompts"]
    if model.prompts:
        model.prompts = model.prompts.keep_only(model.carry)
    model.guidance = None
    model.requires_grad_(False)


def _merge_biases(model: PromptedViT) -> None:
    for i, block in enumerate(model.trunk.blocks):
        offset = model.biases(i)
        if offset is not None:
            qkv = cast(Attention, block.attn).qkv
            qkv.bias = nn.Parameter(offset if qkv.bias is None else qkv.bias + offset)
    model.biases = ProjectionBiases()
