"""Builds the timm ViT that prompts join."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Union

import timm
from timm.layers import Attention, PatchEmbed
from timm.models.vision_transformer import Block, VisionTransformer

from .weights import load_weights

logger = logging.getLogger("davpt_seg")

WeightsSource = Union[str, Mapping[str, Any], None]


def build_trunk(
    model_name: str, pretrained: bool, weights: WeightsSource, timm_kwargs: Mapping[str, Any]
) -> VisionTransformer:
    """Build a timm ViT without classifier, for images of any size, and load its weights."""
    if pretrained and weights:
        raise ValueError(f"pretrained=True and weights={weights!r} are two sources of weights; choose one")
    trunk = create_trunk(model_name, pretrained, timm_kwargs)
    if weights:
        load_weights(trunk, weights)
    elif not pretrained:
        logger.warning(
            "The ViT %s starts from random weights (neither pretrained nor weights is set): "
            "fine if a checkpoint is loaded next.",
            model_name,
        )
    return trunk


def create_trunk(model_name: str, pretrained: bool, timm_kwargs: Mapping[str, Any]) -> VisionTransformer:
    """Build a timm ViT that prompts can join, without classifier, for images of any size."""
    reserved = {"num_classes", "dynamic_img_size", "dynamic_img_pad", "patch_drop_rate"} & timm_kwargs.keys()
    if reserved:
        raise ValueError(f"timm_kwargs {sorted(reserved)}: the prompted ViT sets or excludes these itself")
    try:
        trunk = timm.create_model(
            model_name,
            pretrained=pretrained,
            num_classes=0,
            dynamic_img_size=True,
            dynamic_img_pad=True,
            **timm_kwargs,
        )
    except OSError as error:
        raise OSError(
            f"timm's weights of {model_name!r} could not be downloaded ({type(error).__name__}). Without a network, "
            "download them elsewhere (its model.safetensors) and set pretrained=False, weights='path/to/that/file'; or "
            "fill the Hugging Face cache there (HF_HOME)."
        ) from error
    except (TypeError, RuntimeError) as error:
        raise ValueError(
            f"model_name {model_name!r} gives no plain timm Vision Transformer with {dict(timm_kwargs)}: {error}. "
            "timm.list_models('vit_*') lists names"
        ) from error
    if not isinstance(trunk, VisionTransformer):
        raise ValueError(f"model_name {model_name!r} is a {type(trunk).__name__}, not a plain timm VisionTransformer")
    plain = {PatchEmbed, Block, Attention}
    kinds = {type(trunk.patch_embed), *map(type, trunk.blocks)}
    kinds |= {type(block.attn) for block in trunk.blocks if type(block) is Block}
    if kinds - plain:
        names = sorted(kind.__name__ for kind in kinds - plain)
        raise ValueError(
            f"model_name {model_name!r} has {names}; prompts need timm's plain PatchEmbed, Block, Attention"
        )
    trunk.reset_classifier(0, "")  # drops the pooling head that SigLIP towers have
    return trunk
