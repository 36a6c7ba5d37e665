"""timm's ``VisionTransformer``: positions join the tokens once, before the first block."""

from __future__ import annotations

from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from .family import Embedded


def embed(trunk: VisionTransformer, images: Tensor, carried: int) -> Embedded:
    """Turn images (B, 3, H, W) into tokens; ``carried`` prompts that join them later need no places."""
    # timm names the step _pos_embed, but it is where class token, registers and resampled positions join.
    tokens = trunk._pos_embed(trunk.patch_embed(images))
    return Embedded(trunk.norm_pre(trunk.patch_drop(tokens)), [None] * len(trunk.blocks))
