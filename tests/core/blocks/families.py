"""Small timm ViTs, one of each family that prompts can join."""

from __future__ import annotations

from typing import Any

import torch

from davpt_seg.core import PromptedViT

SMALL: dict[str, Any] = dict(img_size=32, patch_size=8, embed_dim=64, depth=2, num_heads=4)
VIT = "vit_tiny_patch16_224"

#: Name in timm, and changes besides the size.
FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "vit": (VIT, {}),
    "vit gated, with inner norms": (VIT, dict(qk_norm=True, scale_attn_norm=True, scale_mlp_norm=True)),
    "deit distilled": ("deit_tiny_distilled_patch16_224", {}),
    "dinov2 with registers": ("vit_small_patch14_reg4_dinov2", {}),
    "siglip": ("vit_base_patch16_siglip_224", {}),
    "aimv2": ("aimv2_large_patch14_224", {}),
    "eva": ("eva_giant_patch14_224", {}),
    "eva02": ("eva02_tiny_patch14_224", {}),
    "eva02 apart": ("eva02_large_patch14_224", {}),
    "eva02 clip": ("eva02_base_patch16_clip_224", {}),
    "dinov3": ("vit_small_patch16_dinov3", {}),
    "dinov3 with biases": ("vit_small_patch16_dinov3_qkvb", {}),
    "dinov3 swiglu": ("vit_7b_patch16_dinov3", {}),
    "sapiens2 with fewer heads of keys": ("vit_base_patch16_sapiens2", dict(num_kv_heads=(4, 2))),
    "pe core": ("vit_pe_core_tiny_patch16_384", {}),
    "pe without class token": ("vit_pe_lang_large_patch14_448", {}),
    "rope axial": ("vit_small_patch16_rope_224", {}),
    "rope axial and positions": ("vit_small_patch16_rope_ape_224", {}),
    "rope mixed": ("vit_small_patch16_rope_mixed_224", {}),
    "rope mixed and positions": ("vit_small_patch16_rope_mixed_ape_224", {}),
    "rope with register": ("vit_base_patch16_rope_reg1_gap_256", {}),
    "rope with register, without biases": ("vit_mediumd_patch16_rope_reg1_gap_256", {}),
    "beit": ("beit_base_patch16_224", {}),
    "beitv2": ("beitv2_base_patch16_224", {}),
    "beit without biases, with positions": ("beit_base_patch16_224", dict(qkv_bias=False, use_abs_pos_emb=True)),
    "beit with shared biases": ("beit_base_patch16_224", dict(use_shared_rel_pos_bias=True)),
    "post-norm": ("vit_base_patch16_rpn_224", {}),
    "post-norm eva": ("eva02_enormous_patch14_clip_224", {}),
    "post-norm with rotations": ("vit_small_patch16_dinov3", dict(use_post_norm=True)),
    "parallel scaling": ("vit_pwee_patch16_reg1_gap_256", {}),
    "parallel scaling with norms": ("vit_base_patch16_xp_224", {}),
    "parallel things": ("vit_small_patch16_18x2_224", {}),
    "parallel things with norms": ("vit_small_patch16_18x2_224", dict(qk_norm=True, scale_attn_norm=True)),
}


def family_vit(name: str, **kwargs: Any) -> PromptedViT:
    """Return a float64 ViT of a family with two blocks for 32-pixel images, with large enough weights."""
    model_name, changes = FAMILIES[name]
    timm_kwargs = {**SMALL, **changes, **kwargs.pop("timm_kwargs", {})}
    model = PromptedViT(model_name, timm_kwargs=timm_kwargs, **kwargs).double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.trunk.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model
