"""Writers of the release layouts of timm's ``Eva`` models, which the loader must undo.

From the sources of facebookresearch/dinov3 (dinov3/models/vision_transformer.py, hub/backbones.py and
tools/create_dinov3_checkpoint_from_backbone_weights.py), transformers 5.24 (models/dinov3_vit/modeling_dinov3_vit.py,
conversion_mapping.py), baaivision/EVA (EVA-02/asuka/modeling_pretrain.py, modeling_finetune.py) and
facebookresearch/perception_models (core/vision_encoder/pe.py, config.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor

from .checkpoint_writers import State, noise, prefixed


def _written(state: State, rules: Sequence[tuple[str, str]]) -> State:
    tensors = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        tensors[name] = value.clone()
    return tensors


def dinov3(state: State, joined_bias: bool = True, key_bias: float = 0.7) -> State:
    """Return DINOv3's layout: a joined bias whose key part a mask removes, and periods in bfloat16."""
    biases = {name: state[name] for name in state if name.endswith(("q_bias", "v_bias"))}
    rules = [
        (r"^reg_token$", "storage_tokens"),
        (r"gamma_(\d)$", r"ls\1.gamma"),
        (r"mlp\.fc1_g\.", "mlp.w1."),
        (r"mlp\.fc1_x\.", "mlp.w2."),
    ]
    if any(".mlp.fc1_g." in name for name in state):
        rules.append((r"mlp\.fc2\.", "mlp.w3."))
    tensors = _written({name: value for name, value in state.items() if name not in biases}, rules)
    width = state["cls_token"].shape[-1]
    for name in [name for name in state if joined_bias and name.endswith("attn.qkv.weight")]:
        stem = name[: -len("qkv.weight")]
        query, value = (biases.get(f"{stem}{part}_bias", torch.zeros(width)) for part in "qv")
        tensors[f"{stem}qkv.bias"] = torch.cat([query, torch.full((width,), key_bias), value])
        tensors[f"{stem}qkv.bias_mask"] = torch.cat([torch.ones(width), torch.zeros(width), torch.ones(width)])
    return {**tensors, "mask_token": noise(1, width)}


def with_periods(tensors: State, heads: int, base: float = 100.0) -> State:
    """Add the persistent buffer of DINOv3's rotary positions."""
    quarter = tensors["cls_token"].shape[-1] // heads // 4
    periods = base ** (2 * torch.arange(quarter) / (2 * quarter))
    return {**tensors, "rope_embed.periods": periods.bfloat16()}


def dinov3_teacher(state: State) -> dict[str, State]:
    tensors = prefixed(dinov3(state), "backbone.") | {"dino_head.mlp.0.weight": noise(2, 2)}
    return {"teacher": tensors}


def transformers_dinov3(state: State, layer: str = "layer") -> State:
    """Return the layout of ``DINOv3ViTModel``: separate projections, without key bias."""
    gated = any(".mlp.fc1_g." in name for name in state)
    rules = [
        (r"^patch_embed\.proj\.", "embeddings.patch_embeddings."),
        (r"^reg_token$", "embeddings.register_tokens"),
        (r"^cls_token$", "embeddings.cls_token"),
        (r"^blocks\.", f"{layer}."),
        (r"gamma_(\d)$", r"layer_scale\1.lambda1"),
        (r"attn\.proj\.", "attention.o_proj."),
        (r"attn\.([qv])_bias$", r"attention.\1_proj.bias"),
        (r"mlp\.fc1_g\.", "mlp.gate_proj."),
        (r"mlp\.fc1_x\.", "mlp.up_proj."),
        (r"mlp\.fc1\.", "mlp.up_proj."),
        (r"mlp\.fc2\.", "mlp.down_proj."),
    ]
    tensors = _written(state, rules)
    assert gated == any("gate_proj" in name for name in tensors)
    for name in [name for name in tensors if name.endswith("attn.qkv.weight")]:
        stem = name[: -len("attn.qkv.weight")]
        for letter, part in zip("qkv", tensors.pop(name).chunk(3)):
            tensors[f"{stem}attention.{letter}_proj.weight"] = part.clone()
    return {**tensors, "embeddings.mask_token": noise(1, 1, state["cls_token"].shape[-1])}


def eva02(state: State, masked: bool = False) -> State:
    """Return EVA-02's layout: SwiGLU as w1, w2, w3 (w12 if packed), separate biases, rotary tables as buffers."""
    rules = [
        (r"attn\.([qv])_proj\.bias$", r"attn.\1_bias"),
        (r"attn\.norm\.", "attn.inner_attn_ln."),
        (r"mlp\.norm\.", "mlp.ffn_ln."),
        (r"mlp\.fc1_g\.", "mlp.w1."),
        (r"mlp\.fc1_x\.", "mlp.w2."),
        (r"mlp\.fc1\.", "mlp.w12."),
        (r"mlp\.fc2\.", "mlp.w3."),
        (r"^fc_norm\.", "norm." if masked else "fc_norm."),
    ]
    tensors = _written(state, rules)
    for owner in ("rope", "blocks.0.attn.rope", "blocks.1.attn.rope"):
        tensors |= {f"{owner}.freqs_cos": noise(16, 8), f"{owner}.freqs_sin": noise(16, 8)}
    width = state["cls_token"].shape[-1]
    if masked:
        return {
            **tensors,
            "mask_token": noise(1, 1, width),
            "lm_head.weight": noise(6, width),
            "lm_head.bias": noise(6),
        }
    return {**tensors, "head.weight": noise(5, width), "head.bias": noise(5)}


def eva02_clip(state: State) -> State:
    """Return an image tower of EVA-CLIP, with a part of its text tower."""
    return prefixed(eva02(state), "visual.") | {"text.positional_embedding": noise(4, 8), "logit_scale": torch.ones(())}


def perception_encoder(state: State, pooled: bool = False) -> State:
    """Return Perception Encoder's image tower with CLIP's names, and with pooling and projection if pooled."""
    rules = [
        (r"^patch_embed\.proj\.", "conv1."),
        (r"^norm_pre\.", "ln_pre."),
        (r"^norm\.", "ln_post."),
        (r"^blocks\.(\d+)\.", r"transformer.resblocks.\1."),
        (r"\.norm(\d)\.", r".ln_\1."),
        (r"gamma_(\d)$", r"ls_\1.gamma"),
        (r"attn\.qkv\.", "attn.in_proj_"),
        (r"attn\.proj\.", "attn.out_proj."),
        (r"mlp\.fc1\.", "mlp.c_fc."),
        (r"mlp\.fc2\.", "mlp.c_proj."),
    ]
    tensors = _written(state, rules)
    tensors["positional_embedding"] = tensors.pop("pos_embed")[0]
    if "cls_token" in tensors:
        tensors["class_embedding"] = tensors.pop("cls_token")[0, 0]
    width = len(tensors["conv1.weight"])
    if pooled:
        tensors |= {
            "attn_pool.probe": noise(1, 1, width),
            "attn_pool.attn.in_proj_weight": noise(3 * width, width),
            "attn_pool.attn.in_proj_bias": noise(3 * width),
            "attn_pool.layernorm.weight": noise(width),
            "attn_pool.mlp.c_fc.weight": noise(4, width),
            "proj": noise(width, 6),
        }
    return tensors


def perception_encoder_clip(state: State) -> dict[str, Tensor]:
    text = {"transformer.resblocks.0.ln_1.weight": noise(8), "logit_scale": noise(1), "text_projection": noise(8, 16)}
    return prefixed(perception_encoder(state, pooled=True), "visual.") | text
