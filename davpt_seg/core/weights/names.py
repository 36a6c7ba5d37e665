"""How other libraries name the parts of a ViT, turned into timm's names."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn
from torch import Tensor

State = dict[str, Tensor]
PATCH_KERNEL = "patch_embed.proj.weight"

# (pattern, replacement), each tried in turn from the start of a name.
OPENMMLAB = (
    (r"patch_embed\.projection\.", "patch_embed.proj."),
    (r"layers\.(\d+)\.(?:ln|norm)(\d)\.", r"blocks.\1.norm\2."),
    (r"layers\.(\d+)\.ffn\.layers\.0\.0\.", r"blocks.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.layers\.1\.", r"blocks.\1.mlp.fc2."),
    (r"(?:ln|norm)1\.", "norm."),
)
MMSEG = (
    *OPENMMLAB,
    (r"layers\.(\d+)\.attn\.attn\.in_proj_", r"blocks.\1.attn.qkv."),
    (r"layers\.(\d+)\.attn\.attn\.out_proj\.", r"blocks.\1.attn.proj."),
    (r"ln_pre\.", "norm_pre."),
)
MMPRETRAIN = (
    *OPENMMLAB,
    (r"layers\.(\d+)\.attn\.gamma1\.weight$", r"blocks.\1.ls1.gamma"),
    (r"layers\.(\d+)\.attn\.", r"blocks.\1.attn."),
    (r"layers\.(\d+)\.ffn\.gamma2\.weight$", r"blocks.\1.ls2.gamma"),
    (r"layers\.(\d+)\.ffn\.w12\.", r"blocks.\1.mlp.fc1."),
    (r"layers\.(\d+)\.ffn\.w3\.", r"blocks.\1.mlp.fc2."),
    (r"(?:ln|norm)2\.", "fc_norm."),
    (r"pre_norm\.", "norm_pre."),
)
TRANSFORMERS = (
    (r"embeddings\.patch_embeddings\.projection\.", "patch_embed.proj."),
    (r"embeddings\.position_embeddings$", "pos_embed"),
    (r"embeddings\.(cls_token|mask_token|register_tokens)$", r"\1"),
    (r"encoder\.layer\.(\d+)\.attention\.output\.dense\.", r"blocks.\1.attn.proj."),
    (r"encoder\.layer\.(\d+)\.(?:norm1|layernorm_before)\.", r"blocks.\1.norm1."),
    (r"encoder\.layer\.(\d+)\.(?:norm2|layernorm_after)\.", r"blocks.\1.norm2."),
    (r"encoder\.layer\.(\d+)\.(?:mlp\.fc1|mlp\.weights_in|intermediate\.dense)\.", r"blocks.\1.mlp.fc1."),
    (r"encoder\.layer\.(\d+)\.(?:mlp\.fc2|mlp\.weights_out|output\.dense)\.", r"blocks.\1.mlp.fc2."),
    (r"encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1$", r"blocks.\1.ls\2.gamma"),
    (r"layernorm\.", "norm."),
)
PROJECTION = re.compile(
    r"encoder\.layer\.(?P<block>\d+)\.attention\.attention\.(?P<part>query|key|value)\.(?P<kind>weight|bias)"
)


def from_timm(state: State) -> State:
    """Let timm rename what it knows of: DINOv2's registers and SwiGLU, DeiT-III's layer scale."""
    return _timm_filter(state, PATCH_KERNEL)


def from_dinov2(state: State) -> State:
    """Undo the chunks that DINOv2's training keeps blocks in (``blocks.CHUNK.N``); the rest is timm's."""
    return from_timm(renamed(state, [(r"blocks\.\d+\.(\d+)\.", r"blocks.\1.")]))


def from_openai_clip(state: State) -> State:
    """Let timm rename CLIP's image tower."""
    return _timm_filter({f"visual.{name}": value for name, value in state.items()}, "visual.conv1.weight")


def from_mmseg(state: State) -> State:
    """Rename mmseg's VisionTransformer, whose attention is torch's; it may lack the bias of its patch embedding."""
    state = renamed(state, MMSEG)
    if "patch_embed.proj.bias" not in state and "norm_pre.weight" not in state:
        state["patch_embed.proj.bias"] = state[PATCH_KERNEL].new_zeros(len(state[PATCH_KERNEL]))  # is the same as none
    return state


def from_mmpretrain(state: State) -> State:
    """Rename mmpretrain's VisionTransformer."""
    return renamed(state, MMPRETRAIN)


def from_transformers(state: State) -> State:
    """Rename Hugging Face's ViT and Dinov2 models and join their query, key and value projections."""
    projections, others = joined(state, PROJECTION, ("query", "key", "value"))
    return from_timm({**renamed(others, TRANSFORMERS), **projections})


def joined(state: State, pattern: re.Pattern[str], order: Sequence[str]) -> tuple[State, State]:
    """Join separate query, key and value projections; return them under timm's names, and the other tensors.

    Those that do not fit together keep their names, so that these are refused.

    Args:
        state: tensors by name.
        pattern: a projection's name, with the groups ``block``, ``part`` and ``kind`` (weight or bias).
        order: the parts for query, key and value.
    """
    parts: dict[str, dict[str, str]] = {}
    for name in state:
        if found := pattern.fullmatch(name):
            parts.setdefault(f"blocks.{found['block']}.attn.qkv.{found['kind']}", {})[found["part"]] = name
    projections: State = {}
    taken: set[str] = set()
    for target, names in parts.items():
        values = [state[names[part]] for part in order if part in names]
        if all(value.ndim and value.shape[1:] == values[0].shape[1:] for value in values):
            projections[target] = torch.cat(values)  # where one of the three is missing, its shape will show it
            taken |= set(names.values())
    return projections, {name: value for name, value in state.items() if name not in taken}


def renamed(state: State, rules: Sequence[tuple[str, str]]) -> State:
    """Apply each rule (pattern, replacement) in turn to the start of every name."""
    result = {}
    for name, value in state.items():
        for pattern, replacement in rules:
            name = re.sub(f"^{pattern}", replacement, name)
        result[name] = value
    return result


def filter_model(kernel: Tensor) -> VisionTransformer:
    """Build the model that timm's filters look at, for a patch embedding (D, C, h, w).

    The filters also resample. This model has no positions and the file's own patch size, so nothing is resampled.
    """
    width, channels, *patch = kernel.shape
    return VisionTransformer(
        img_size=tuple(patch),  # type: ignore[arg-type]
        patch_size=tuple(patch),  # type: ignore[arg-type]
        in_chans=channels,
        embed_dim=width,
        depth=0,
        num_heads=1,
        num_classes=0,
        pos_embed="none",
    )


def _timm_filter(state: State, kernel_name: str) -> State:
    kernel = state[kernel_name]
    if kernel.ndim != 4:
        return dict(state)  # its shape will be refused by name
    return checkpoint_filter_fn(dict(state), filter_model(kernel), adapt_layer_scale=True)
