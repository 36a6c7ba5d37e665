"""Families of timm blocks: how each is walked, in one file a family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional, Union

from timm.layers import Attention, AttentionRope
from timm.models import beit as timm_beit
from timm.models.beit import Beit
from timm.models.eva import Eva, EvaAttention, EvaBlock, EvaBlockPostNorm
from timm.models.vision_transformer import (
    Block,
    ParallelScalingBlock,
    ParallelThingsBlock,
    ResPostBlock,
    VisionTransformer,
)
from torch import Tensor, nn

from . import beit, eva, parallel_scaling, parallel_things, post_norm, vit
from .family import Embedded, Family

#: ViTs that prompts can join.
Trunk = Union[VisionTransformer, Eva, Beit]

#: How each kind of ViT embeds images, given the number of prompts that stay in the sequence.
EMBEDDINGS: dict[type[nn.Module], Callable[[Any, Tensor, int], Embedded]] = {
    VisionTransformer: vit.embed,
    Eva: eva.embed,
    Beit: beit.embed,
}
#: How each kind of block is walked, by its type and its attention's.
FAMILIES: dict[tuple[type[nn.Module], Optional[type[nn.Module]]], Family] = {
    (Block, Attention): Family(),
    (timm_beit.Block, timm_beit.Attention): beit.BeitFamily(),
    (EvaBlock, EvaAttention): eva.EvaFamily(),
    (EvaBlock, AttentionRope): eva.EvaFamily(),
    (ParallelScalingBlock, None): parallel_scaling.ParallelScalingFamily(),
    (ParallelThingsBlock, Attention): parallel_things.ParallelThingsFamily(),
    (ResPostBlock, Attention): post_norm.ResPostFamily(),
    (EvaBlockPostNorm, EvaAttention): post_norm.EvaPostNormFamily(),
    (EvaBlockPostNorm, AttentionRope): post_norm.EvaPostNormFamily(),
}
#: Layers that some trunks have in place of one.
APART = {
    "attn.qkv": ("attn.q_proj", "attn.k_proj", "attn.v_proj"),
    "mlp.fc1": ("mlp.fc1_g", "mlp.fc1_x"),
}


def kind(block: nn.Module) -> tuple[type[nn.Module], Optional[type[nn.Module]]]:
    """Return the types of a block and of its attention, None where the block itself attends."""
    attention: Any = getattr(block, "attn", None)
    if isinstance(block, ParallelThingsBlock):
        attention = block.get_submodule("attns.0.attn")
    return type(block), None if attention is None else type(attention)


def family_of(block: nn.Module) -> Family:
    """Return how a block is walked; only for kinds that :data:`FAMILIES` has."""
    return FAMILIES[kind(block)]


def embedding_of(trunk: nn.Module) -> Callable[[Any, Tensor, int], Embedded]:
    """Return how a ViT embeds images; only for kinds that :data:`EMBEDDINGS` has."""
    return next(EMBEDDINGS[kind] for kind in type(trunk).__mro__ if kind in EMBEDDINGS)


def heads_of(block: nn.Module) -> int:
    """Return the number of a block's attention heads."""
    return family_of(block).attention(block).num_heads
