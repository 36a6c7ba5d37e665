"""timm models that prompts can't join, and why."""

from __future__ import annotations

from typing import Any, Optional

from timm.layers import PatchEmbed
from timm.models import is_model, model_entrypoint
from timm.models.beit import Beit
from timm.models.eva import Eva

from . import EMBEDDINGS, FAMILIES, family_of, kind

#: By timm's module: known by the name alone, before anything is built.
MODULES = {
    "vision_transformer_sam": "most of its blocks attend within windows (SAM), so prompts would join each window apart",
    "vision_transformer_relpos": "its attention reads relative positions (ViT-RelPos), of images of one size",
    "naflexvit": "it takes patches as a padded sequence with masks (NaFlexViT), and not images",
    "vision_transformer_hybrid": "a convolutional network makes its patches (hybrid), so they overlap and have no size",
    "vitamin": "its first stages are convolutions (ViTamin)",
    "cait": "its attention mixes heads before and after the softmax, and its class token joins late (CaiT)",
    "xcit": "its attention compares channels, not tokens (XCiT), so there are no keys that a prompt could join",
    "hiera": "its blocks attend within windows and pool their tokens (Hiera)",
}
#: By the class of a part.
KINDS = {
    "HybridEmbed": "a convolutional network makes its patches (HybridEmbed), so they overlap and have no size",
    "DiffAttention": "its attention is a difference of two softmaxes (DiffAttention)",
    "DiffParallelScalingBlock": "its attention is a difference of two softmaxes (DiffParallelScalingBlock)",
}


def refused_by_name(model_name: str) -> Optional[str]:
    """Return why prompts can't join a timm model of that name, or None if nothing is known against it."""
    return MODULES.get(timm_module(model_name))


def timm_module(model_name: str) -> str:
    """Return the last part of the name of timm's module that a model is of, empty for an unknown model."""
    name = model_name.partition(".")[0]
    return model_entrypoint(name).__module__.rpartition(".")[2] if is_model(name) else ""


def refusal(trunk: Any) -> Optional[str]:
    """Return why prompts can't join a model, which may be on the meta device, or None if they can."""
    if not any(base in EMBEDDINGS for base in type(trunk).__mro__):
        return f"it is a {type(trunk).__name__}, not a plain ViT"
    if type(trunk.patch_embed) is not PatchEmbed:
        return _reason({type(trunk.patch_embed)})
    unknown = {kind(block) for block in trunk.blocks} - FAMILIES.keys()
    return _reason({part for parts in unknown for part in parts if part is not None}) if unknown else None


def wrong_heads(trunk: Any) -> Optional[str]:
    """Return why a model of known kind can't divide its width among its heads, or None if it can.

    timm builds Eva and Beit so, and they fail in a forward pass.
    """
    if not isinstance(trunk, (Eva, Beit)):
        return None
    heads = {family_of(block).attention(block).num_heads for block in trunk.blocks}
    rotated = getattr(trunk, "rope", None) is not None  # by pairs of channels, down and across
    wrong = [number for number in heads if trunk.embed_dim % (number * (4 if rotated else 1))]
    if not wrong:
        return None
    share = "a multiple of 4 channels, for its rotary positions" if rotated else "the same number of channels"
    return f"embed_dim {trunk.embed_dim} can't be divided among num_heads {wrong[0]}: each head must have {share}"


def _reason(parts: set[type]) -> str:
    names = sorted(part.__name__ for part in parts)
    return next((KINDS[name] for name in names if name in KINDS), f"prompts can't join a model of {names}")
