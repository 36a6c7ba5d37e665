"""Wrong trunks, with their weights and words; ``wrong_inputs`` has the other inputs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import timm
import torch
from mmengine.config import Config
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.experiments.normalisation import contradiction
from davpt_seg.models import PromptedViTBackbone

from .core import checkpoint_writers as write
from .core import eva_writers as eva
from .wrong_case import wrong
from .wrong_methods import train

TINY: dict[str, Any] = dict(img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2)
DINOV3, CORE, SPATIAL = "vit_small_patch16_dinov3", "vit_pe_core_tiny_patch16_384", "vit_pe_spatial_tiny_patch16_512"
WITHOUT_CLASS_TOKEN = "vit_pe_spatial_gigantic_patch14_448"


def named(does: str, model_name: str, *says: str, **arguments: Any) -> None:
    """Add a case of a model_name that is refused."""
    arguments = {"timm_kwargs": TINY, **arguments}
    wrong("Backbone", f"`{model_name}`: {does}", *says)(lambda folder: PromptedViT(model_name, **arguments))


named("attention within windows", "samvit_base_patch16", "attend within windows", "docs/trunks.md", timm_kwargs={})
named("patches as a padded sequence", "naflexvit_base_patch16_gap", "padded sequence", timm_kwargs={})
named("patches of a convolutional network", "vit_base_r50_s16_224", "convolutional network", timm_kwargs={})
named("relative positions", "vit_relpos_base_patch16_224", "relative positions", timm_kwargs={})
named("heads of 10 channels", DINOV3, "divided among num_heads 6", "of 4 channels", timm_kwargs=dict(embed_dim=60))
named("heads of 384 / 5 channels", "beit_base_patch16_224", "num_heads 5", timm_kwargs=dict(embed_dim=384, num_heads=5))
named("a model of a folder without a model", "local-dir:nowhere", "config.json", "could not be read", timm_kwargs={})
named("a tag that timm does not have", f"{DINOV3}.lvd142m", "Invalid pretrained tag")
named("registers in a ViT's words", DINOV3, "unexpected keyword argument 'reg_tokens'", timm_kwargs=dict(reg_tokens=4))
named(
    "guidance of a class token that is not there",
    WITHOUT_CLASS_TOKEN,
    "this ViT has none; set metric=dict(image_token='mean')",
    prompts=dict(num_prompts=2),
    guidance=dict(num_classes=3),
)


@wrong("Backbone", "`out_type='cls_token'` of a ViT without class token", "take 'avg_featmap'")
def _(folder: Path) -> Any:
    return PromptedViTBackbone(WITHOUT_CLASS_TOKEN, out_type="cls_token", timm_kwargs=TINY)


def tensors(name: str) -> dict[str, Tensor]:
    """Values of a small trunk of a name."""
    return write.randomise(timm.create_model(name, num_classes=0, **TINY))


def file(does: str, model_name: str, content: Any, *says: str) -> None:
    """Add a case of a weights file that does not belong to the trunk; ``content`` returns its content."""

    def act(folder: Path) -> Any:
        torch.save(content(), folder / "weights.pth")
        return PromptedViT(model_name, weights=str(folder / "weights.pth"), timm_kwargs=TINY)

    wrong("Weights", f"`{model_name}`: {does}", *says)(act)


file(
    "a file of DINOv3",
    "vit_small_patch14_reg4_dinov2",
    lambda: eva.dinov3(tensors(DINOV3)),
    "format DINOv3) does not fit vit_small_patch14_reg4_dinov2",
    "timm's names with dinov3",
)
file(
    "a file of DINOv2",
    DINOV3,
    lambda: write.dinov2(tensors("vit_small_patch14_reg4_dinov2")),
    "format DINOv2) does not fit vit_small_patch16_dinov3",
    "the file has position embeddings and the model has none",
)
file(
    "a file of the core model",
    SPATIAL,
    lambda: eva.perception_encoder(tensors(CORE), pooled=True),
    "format Perception Encoder) does not fit vit_pe_spatial_tiny_patch16_512",
    "unexpected (2): norm.weight, norm.bias",
)
file(
    "biases that the model lacks",
    DINOV3,
    lambda: eva.dinov3(tensors(f"{DINOV3}_qkvb")),
    "unexpected (4): blocks.0.attn.q_bias",
    "take a model_name with qkvb",
)
file(
    "a checkpoint of a training with an int8 trunk",
    DINOV3,
    lambda: {f"trunk.{k}_int8" if k.endswith("fc1.weight") else f"trunk.{k}": v for k, v in tensors(DINOV3).items()},
    "format davpt_seg) does not fit",
    "trained with trunk_quantization='int8', which rounds",
)


def words(does: str, experiment: str, *says: str) -> None:
    """Add a case of words that name a trunk."""
    wrong("Words, lists and converters", f"`{experiment}`: {does}", *says)(lambda folder: train(experiment))


words("a misspelled trunk", "method=davpt,head=linear,trunk=dino3_vits", "no 'linear_dino3_vits'", "linear_dinov3_vits")
words("a trunk that classification has no file of", "trunk=eva02_vitl,data=vtab/dtd", "no 'classifier_eva02_vitl'")
words("images of no complete patches", "trunk=dinov3_vitb,data=vtab/dtd,image_size=230", "take 224 or 240")


@wrong("Backbone", "mean and std of other weights (a warning)", "was trained with mean=[123.675,", "set --cfg-options")
def _(folder: Path) -> str:
    backbone = dict(model_name="vit_base_patch16_dinov3.lvd1689m", pretrained=True)
    preprocessor = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])
    return contradiction(Config(dict(model=dict(data_preprocessor=preprocessor, backbone=backbone))))
