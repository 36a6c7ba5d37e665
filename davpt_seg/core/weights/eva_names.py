"""Release layouts of what timm builds as ``Eva``, turned into timm's names: DINOv3, EVA-02, Perception Encoder."""

from __future__ import annotations

import re
from typing import Optional

from timm.models.eva import checkpoint_filter_fn
from torch import Tensor

from .names import PATCH_KERNEL, State, filter_model, joined, renamed

PERIODS = "rope.periods"
# Hugging Face's DINOv3 in the names of its authors. transformers 5 puts ``model.`` before its layers.
TRANSFORMERS_DINOV3 = (
    (r"embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"embeddings\.register_tokens$", "storage_tokens"),
    (r"embeddings\.(cls_token|mask_token)$", r"\1"),
    (r"(?:model\.)?layer\.(\d+)\.", r"blocks.\1."),
    (r"blocks\.(\d+)\.attention\.o_proj\.", r"blocks.\1.attn.proj."),
    (r"blocks\.(\d+)\.attention\.([qkv])_proj\.bias$", r"blocks.\1.attn.\2_bias"),
    (r"blocks\.(\d+)\.layer_scale(\d)\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"blocks\.(\d+)\.mlp\.gate_proj\.", r"blocks.\1.mlp.w1."),
)
GATED = (
    (r"blocks\.(\d+)\.mlp\.up_proj\.", r"blocks.\1.mlp.w2."),
    (r"blocks\.(\d+)\.mlp\.down_proj\.", r"blocks.\1.mlp.w3."),
)
PLAIN = (
    (r"blocks\.(\d+)\.mlp\.up_proj\.", r"blocks.\1.mlp.fc1."),
    (r"blocks\.(\d+)\.mlp\.down_proj\.", r"blocks.\1.mlp.fc2."),
)
PROJECTION = re.compile(r"(?:model\.)?layer\.(?P<block>\d+)\.attention\.(?P<part>[qkv])_proj\.(?P<kind>weight)")


def from_dinov3(state: State) -> State:
    """Rename DINOv3's backbones, and what uses their layout (EUPE, LingBot-Vision).

    Their joined bias becomes timm's ``q_bias`` and ``v_bias``. timm's filter does not see it, because it would drop the
    key part unchecked: a key bias that its mask lets pass is kept as ``k_bias``, which no timm model has.
    """
    kept: State = {}
    others: State = {}
    for name, value in state.items():
        if name.endswith("attn.qkv.bias"):
            kept |= _split_bias(name, value, state.get(f"{name}_mask"))
        elif name == "rope_embed.periods":
            kept[PERIODS] = value
        else:
            others[name] = value
    return {**_timm_filter(others), **_without_zero_key_bias(kept)}


def _split_bias(name: str, bias: Tensor, mask: Optional[Tensor]) -> State:
    if bias.ndim != 1 or len(bias) % 3 or (mask is not None and mask.shape != bias.shape):
        return {name: bias}  # refused by name
    parts = (bias if mask is None else bias * mask.to(bias.dtype)).chunk(3)
    return {f"{name[: -len('qkv.bias')]}{letter}_bias": part for letter, part in zip("qkv", parts)}


def from_transformers_dinov3(state: State) -> State:
    """Rename Hugging Face's DINOv3 models and join their query, key and value projections."""
    gated = any("mlp.gate_proj." in name for name in state)
    separate, others = joined(state, PROJECTION, "qkv")
    others = renamed(others, [*TRANSFORMERS_DINOV3, *(GATED if gated else PLAIN)])
    return _without_zero_key_bias(_timm_filter({**others, **separate}))


def from_eva(state: State) -> State:
    """Let timm rename EVA-02's pre-training, fine-tuning and CLIP image towers."""
    return _timm_filter(state)


def from_perception_encoder(state: State) -> State:
    """Let timm rename Perception Encoder's image tower; its projection into the text's space is omitted."""
    return _timm_filter({name: value for name, value in state.items() if name != "proj"}, "conv1.weight")


def _timm_filter(state: State, kernel_name: str = PATCH_KERNEL) -> State:
    kernel = state[kernel_name]
    if kernel.ndim != 4:
        return dict(state)  # its shape will be refused by name
    return checkpoint_filter_fn(dict(state), filter_model(kernel))


def _without_zero_key_bias(state: State) -> State:
    return {name: value for name, value in state.items() if not _is_zero_key_bias(name, value)}


def _is_zero_key_bias(name: str, value: Tensor) -> bool:
    return name.endswith("attn.k_bias") and not value.any()
