"""Small ViTs with all traits that matter for prompts."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from davpt_seg.core import PromptedViT

TINY = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=4)
TRAITS: dict[str, dict[str, Any]] = {
    "plain": {},
    "layerscale": dict(init_values=0.3),
    "qk_norm": dict(qk_norm=True),
    "registers": dict(reg_tokens=3, no_embed_class=True),
    "no_class_token": dict(class_token=False, global_pool="avg"),
    "pre_norm": dict(pre_norm=True),
}


def tiny_vit(**kwargs: Any) -> PromptedViT:
    """Return a float64 ViT of two blocks for 32-pixel images, with large enough weights."""
    timm_kwargs = dict(TINY, **kwargs.pop("timm_kwargs", {}))
    model = PromptedViT("vit_tiny_patch16_224", timm_kwargs=timm_kwargs, **kwargs).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.trunk.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


@pytest.fixture(params=TRAITS, ids=str)
def trait(request: pytest.FixtureRequest) -> dict[str, Any]:
    """Return timm's arguments for one trait of a ViT."""
    return TRAITS[request.param]
