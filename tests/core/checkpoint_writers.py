"""Writers of the public checkpoint formats from a timm ViT's tensors, which the loader must undo."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

State = dict[str, Tensor]


def randomise(trunk: VisionTransformer, seed: int = 0) -> State:
    """Set unique values in every tensor, and return them."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in trunk.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return {name: value.clone() for name, value in trunk.state_dict().items()}


def depth(state: State) -> int:
    return 1 + max(int(name.split(".")[1]) for name in state if name.startswith("blocks."))


def noise(*shape: int) -> Tensor:
    return torch.rand(shape)


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def adam(state: State) -> dict[str, Any]:
    moments = {i: {"step": 7, "exp_avg": torch.zeros_like(value)} for i, value in enumerate(state.values())}
    return {"state": moments, "param_groups": [{"lr": 1e-3, "params": list(moments)}]}


def head(width: int) -> State:
    return {"head.weight": noise(10, width), "head.bias": noise(10)}


def moco_head(width: int) -> State:
    """Return three linear layers, each with batch norm, the last without affine parameters."""
    layers: State = {}
    for i in (0, 3, 6):
        layers[f"head.{i}.weight"] = noise(8, width if i == 0 else 8)
        if i < 6:
            layers[f"head.{i + 1}.weight"], layers[f"head.{i + 1}.bias"] = noise(8), noise(8)
        layers[f"head.{i + 1}.running_mean"], layers[f"head.{i + 1}.running_var"] = noise(8), noise(8)
        layers[f"head.{i + 1}.num_batches_tracked"] = torch.tensor(3)
    return layers


def moco_v3(base: State, momentum: State) -> dict[str, Any]:
    width = base["cls_token"].shape[-1]
    tensors = prefixed({**base, **moco_head(width)}, "module.base_encoder.")
    tensors |= prefixed({**momentum, **moco_head(width)}, "module.momentum_encoder.")
    tensors |= {"module.predictor.0.weight": noise(8, 8), "module.predictor.1.running_mean": noise(8)}
    return {"epoch": 300, "arch": "vit_base", "state_dict": tensors, "optimizer": adam(base), "scaler": {"scale": 1.0}}


def moco_v3_probe(backbone: State) -> dict[str, Any]:
    """Return MoCo-v3's linear probe: the frozen backbone and a classifier; the accuracy is a tensor."""
    classifier = head(backbone["cls_token"].shape[-1])
    return {
        "epoch": 90,
        "arch": "vit_base",
        "state_dict": prefixed({**backbone, **classifier}, "module."),
        "best_acc1": torch.tensor(76.7),
        "optimizer": adam(classifier),
    }


def dino(student: State, teacher: State) -> dict[str, Any]:
    projection = {"mlp.0.weight": noise(8, 32), "mlp.0.bias": noise(8), "last_layer.weight_g": noise(9, 1)}
    return {
        "student": {**prefixed(student, "module.backbone."), **prefixed(projection, "module.head.")},
        "teacher": {**prefixed(teacher, "backbone."), **prefixed(projection, "head.")},
        "optimizer": adam(student),
        "epoch": 100,
        "args": argparse.Namespace(arch="vit_small", patch_size=16),
        "fp16_scaler": {"scale": 65536.0},
        "dino_loss": {"center": noise(1, 9)},
    }


def dinov2(state: State, chunks: int = 0) -> State:
    """Return DINOv2's format, which adds positions before registers, so its class token always has one."""
    official: State = {"mask_token": noise(1, 32)}
    for name, value in state.items():
        parts = name.split(".")
        if parts[0] == "blocks" and chunks:
            parts.insert(1, str(int(parts[1]) // (depth(state) // chunks)))
        name = ".".join(parts)
        official[name] = value
    if "reg_token" in state:
        official["register_tokens"] = official.pop("reg_token")
        half = state["cls_token"] / 2  # exact in floating point
        official["cls_token"] = half
        official["pos_embed"] = torch.cat([half, state["pos_embed"]], dim=1)
    return official


def swiglu(state: State) -> State:
    return {name.replace("mlp.fc1", "mlp.w12").replace("mlp.fc2", "mlp.w3"): value for name, value in state.items()}


def mae_pretraining(state: State) -> dict[str, Any]:
    decoder = {
        "mask_token": noise(1, 1, 16),
        "decoder_pos_embed": noise(1, 17, 16),
        "decoder_embed.weight": noise(16, 32),
        "decoder_embed.bias": noise(16),
        "decoder_blocks.0.norm1.weight": noise(16),
        "decoder_blocks.0.attn.qkv.weight": noise(48, 16),
        "decoder_norm.weight": noise(16),
        "decoder_pred.weight": noise(192, 16),
    }
    return {"model": {**state, **decoder}, "optimizer": adam(state), "epoch": 1, "args": argparse.Namespace(lr=1e-3)}


def mae_finetuned(state: State) -> dict[str, Any]:
    tensors = {("fc_" + name if name.startswith("norm.") else name): value for name, value in state.items()}
    return {"model": {**tensors, **head(32)}}


def openmmlab_blocks(state: State, names: dict[str, str]) -> State:
    """Return the blocks' and the common tensors under other names; ``names`` are those of a block's parts."""
    tensors = {name: state[name] for name in ("cls_token", "pos_embed")}
    for part in ("weight", "bias"):
        tensors[f"patch_embed.projection.{part}"] = state[f"patch_embed.proj.{part}"]
        if f"norm.{part}" in state:
            tensors[f"ln1.{part}"] = state[f"norm.{part}"]
    for i in range(depth(state)):
        for name, theirs in names.items():
            if f"blocks.{i}.{name}" in state:
                tensors[f"layers.{i}.{theirs}"] = state[f"blocks.{i}.{name}"]
    return tensors


def both(names: dict[str, str]) -> dict[str, str]:
    return {f"{ours}.{part}": f"{theirs}.{part}" for ours, theirs in names.items() for part in ("weight", "bias")}


FEED_FORWARD = {"norm1": "ln1", "norm2": "ln2", "mlp.fc1": "ffn.layers.0.0", "mlp.fc2": "ffn.layers.1"}


def mmpretrain(state: State) -> State:
    names = both({**FEED_FORWARD, "attn.qkv": "attn.qkv", "attn.proj": "attn.proj"})
    return openmmlab_blocks(state, {**names, "ls1.gamma": "attn.gamma1.weight", "ls2.gamma": "ffn.gamma2.weight"})


def mmseg(state: State) -> State:
    names = both({**FEED_FORWARD, "attn.proj": "attn.attn.out_proj"})
    names |= {f"attn.qkv.{part}": f"attn.attn.in_proj_{part}" for part in ("weight", "bias")}
    return openmmlab_blocks(state, names)


def mmengine(backbone: State, **others: Any) -> dict[str, Any]:
    """Return a checkpoint as MMEngine's runner saves it."""
    modules = {"decode_head.conv_seg.weight": noise(3, 32, 1, 1), "data_preprocessor.mean": noise(3, 1, 1)}
    return {
        "meta": {"epoch": 1, "iter": 9, "cfg": "model = dict()", "dataset_meta": {"classes": ("a", "b")}},
        "state_dict": {**prefixed(backbone, "backbone."), **modules},
        "optimizer": adam(backbone),
        **others,
    }


def transformers(state: State, dinov2_names: bool) -> State:
    """Return Hugging Face's format of ViT or Dinov2."""
    width = state["cls_token"].shape[-1]
    tensors = {
        "embeddings.cls_token": state["cls_token"],
        "embeddings.position_embeddings": state["pos_embed"],
    }
    names = both(
        {"norm1": "norm1", "norm2": "norm2", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}
        if dinov2_names
        else {
            "norm1": "layernorm_before",
            "norm2": "layernorm_after",
            "mlp.fc1": "intermediate.dense",
            "mlp.fc2": "output.dense",
        }
    )
    names |= both({"attn.proj": "attention.output.dense"})
    names |= {"ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1"}
    for part in ("weight", "bias"):
        tensors[f"embeddings.patch_embeddings.projection.{part}"] = state[f"patch_embed.proj.{part}"]
        tensors[f"layernorm.{part}"] = state[f"norm.{part}"]
        for i in range(depth(state)):
            joined = state[f"blocks.{i}.attn.qkv.{part}"]
            for j, projection in enumerate(("query", "key", "value")):
                key = f"encoder.layer.{i}.attention.attention.{projection}.{part}"
                tensors[key] = joined[j * width : (j + 1) * width].clone()
    for i in range(depth(state)):
        for name, theirs in names.items():
            if f"blocks.{i}.{name}" in state:
                tensors[f"encoder.layer.{i}.{theirs}"] = state[f"blocks.{i}.{name}"]
    if dinov2_names:
        tensors["embeddings.mask_token"] = noise(1, width)
    return tensors


def openai_clip(state: State) -> State:
    """Return the image tower of CLIP, with a part of its text tower."""
    tower = {
        "class_embedding": state["cls_token"][0, 0],
        "positional_embedding": state["pos_embed"][0],
        "conv1.weight": state["patch_embed.proj.weight"],
        "proj": noise(32, 16),
    }
    for part in ("weight", "bias"):
        tower[f"ln_pre.{part}"] = state[f"norm_pre.{part}"]
        tower[f"ln_post.{part}"] = state[f"norm.{part}"]
        for i in range(depth(state)):
            block, theirs = f"blocks.{i}", f"transformer.resblocks.{i}"
            tower[f"{theirs}.ln_1.{part}"] = state[f"{block}.norm1.{part}"]
            tower[f"{theirs}.ln_2.{part}"] = state[f"{block}.norm2.{part}"]
            tower[f"{theirs}.attn.in_proj_{part}"] = state[f"{block}.attn.qkv.{part}"]
            tower[f"{theirs}.attn.out_proj.{part}"] = state[f"{block}.attn.proj.{part}"]
            tower[f"{theirs}.mlp.c_fc.{part}"] = state[f"{block}.mlp.fc1.{part}"]
            tower[f"{theirs}.mlp.c_proj.{part}"] = state[f"{block}.mlp.fc2.{part}"]
    text = {"transformer.resblocks.0.ln_1.weight": noise(8), "logit_scale": noise(1), "text_projection": noise(8, 16)}
    return {**prefixed(tower, "visual."), **text}


def jax(state: State, heads: int, big_vision: bool = False, stacked: bool = False) -> dict[str, np.ndarray]:
    """Return Google's arrays: kernels are (in, out), attention has a dimension of heads."""
    width = state["cls_token"].shape[-1]

    def array(name: str) -> np.ndarray:
        return state[name].numpy()

    attention, feed_forward, second = ("0", "0", "1") if big_vision else ("1", "3", "2")
    blocks = []
    for i in range(depth(state)):
        block: dict[str, np.ndarray] = {}
        for norm, number in (("norm1", "0"), ("norm2", second)):
            block[f"LayerNorm_{number}/scale"] = array(f"blocks.{i}.{norm}.weight")
            block[f"LayerNorm_{number}/bias"] = array(f"blocks.{i}.{norm}.bias")
        for j, projection in enumerate(("query", "key", "value")):
            rows = slice(j * width, (j + 1) * width)
            name = f"MultiHeadDotProductAttention_{attention}/{projection}"
            block[f"{name}/kernel"] = array(f"blocks.{i}.attn.qkv.weight")[rows].T.reshape(width, heads, width // heads)
            block[f"{name}/bias"] = array(f"blocks.{i}.attn.qkv.bias")[rows].reshape(heads, width // heads)
        name = f"MultiHeadDotProductAttention_{attention}/out"
        block[f"{name}/kernel"] = array(f"blocks.{i}.attn.proj.weight").T.reshape(heads, width // heads, width)
        block[f"{name}/bias"] = array(f"blocks.{i}.attn.proj.bias")
        for j in (0, 1):
            name = f"MlpBlock_{feed_forward}/Dense_{j}"
            block[f"{name}/kernel"] = array(f"blocks.{i}.mlp.fc{j + 1}.weight").T
            block[f"{name}/bias"] = array(f"blocks.{i}.mlp.fc{j + 1}.bias")
        blocks.append(block)
    arrays = {
        "cls": array("cls_token"),
        "embedding/kernel": array("patch_embed.proj.weight").transpose(2, 3, 1, 0),
        "embedding/bias": array("patch_embed.proj.bias"),
        "pos_embedding" if big_vision else "Transformer/posembed_input/pos_embedding": array("pos_embed"),
        "Transformer/encoder_norm/scale": array("norm.weight"),
        "Transformer/encoder_norm/bias": array("norm.bias"),
        "head/kernel": np.ones((width, 10), np.float32),
        "head/bias": np.ones(10, np.float32),
    }
    for name in blocks[0]:
        if stacked:
            arrays[f"Transformer/encoderblock/{name}"] = np.stack([block[name] for block in blocks])
        else:
            arrays |= {f"Transformer/encoderblock_{i}/{name}": block[name] for i, block in enumerate(blocks)}
    return {f"params/{name}": value for name, value in arrays.items()} if big_vision else arrays
