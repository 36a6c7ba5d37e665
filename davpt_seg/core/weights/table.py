"""The public checkpoint formats, one row each; the first that a file's names fit is the file's."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from ...errors import InputError, some
from . import eva_names, names
from .formats import Format

WRAPPED = r"(?:module\.|_orig_mod\.)*"  # by DistributedDataParallel, by torch.compile
OPENMMLAB = rf"(?:(?P<which>state_dict|ema_state_dict)\.)?{WRAPPED}"
TIMM = rf"(?:(?P<which>state_dict_ema|model_ema|state_dict|model)\.)?{WRAPPED}"
TIMM_NETWORKS = ("state_dict_ema", "model_ema", "state_dict", "model")
DINO_HEADS = r"(?:model\.)?(?:(?:teacher|student)\.(?:module\.)?\w*head\.|\w+_loss\.).*"
ANYTHING = r".*"

FORMATS = (
    Format(
        "davpt_seg",
        "a checkpoint of this package; only its ViT is taken",
        rf"{OPENMMLAB}(?:backbone\.)?trunk\.",
        which=("state_dict", "ema_state_dict"),
        beside=ANYTHING,
    ),
    Format(
        "mmseg",
        "MMSegmentation's VisionTransformer",
        rf"{OPENMMLAB}(?:backbone\.)?",
        names.from_mmseg,
        "patch_embed.projection.weight",
        (r"layers\.0\.attn\.attn\.in_proj_weight",),
        which=("state_dict", "ema_state_dict"),
        beside=ANYTHING,
    ),
    Format(
        "mmpretrain",
        "MMPretrain's (MMClassification's, MMSelfSup's) VisionTransformer",
        rf"{OPENMMLAB}(?:backbone\.)?",
        names.from_mmpretrain,
        "patch_embed.projection.weight",
        (r"layers\.0\.attn\.qkv\.weight",),
        which=("state_dict", "ema_state_dict"),
        beside=ANYTHING,
    ),
    Format(
        "transformers",
        "Hugging Face's ViT and Dinov2 models",
        rf"(?:state_dict\.)?{WRAPPED}(?:\w+\.)?",
        names.from_transformers,
        "embeddings.patch_embeddings.projection.weight",
        (r"encoder\.layer\.0\.attention\.attention\.query\.weight",),
        beside=ANYTHING,
    ),
    Format(
        "transformers",
        "Hugging Face's DINOv3 models",
        rf"(?:state_dict\.)?{WRAPPED}(?:\w+\.)?",
        eva_names.from_transformers_dinov3,
        "embeddings.patch_embeddings.weight",
        (r"(?:model\.)?layer\.0\.attention\.q_proj\.weight",),
        beside=ANYTHING,
    ),
    Format(
        "MoCo-v3",
        "facebookresearch/moco-v3 pre-training",
        rf"(?:state_dict\.)?{WRAPPED}(?P<which>base_encoder|momentum_encoder)\.",
        which=("base_encoder", "momentum_encoder"),
        beside=rf"(?:state_dict\.)?{WRAPPED}predictor\..*",
    ),
    Format(
        "DINOv3",
        "facebookresearch/dinov3 training",
        rf"(?:model\.)?(?P<which>teacher|student)\.{WRAPPED}backbone\.",
        eva_names.from_dinov3,
        marks=(r"storage_tokens",),
        which=("teacher", "student"),
        beside=DINO_HEADS,
    ),
    Format(
        "DINOv2",
        "facebookresearch/dinov2 training",
        rf"(?:model\.)?(?P<which>teacher|student)\.{WRAPPED}backbone\.",
        names.from_dinov2,
        marks=(r"mask_token",),
        which=("teacher", "student"),
        beside=DINO_HEADS,
    ),
    Format(
        "DINO",
        "facebookresearch/dino full checkpoints",
        rf"(?P<which>teacher|student)\.{WRAPPED}backbone\.",
        which=("teacher", "student"),
        beside=r"(?:(?:teacher|student)\.(?:module\.)?head\.|dino_loss\.).*",
    ),
    Format(
        "DINOv3",
        "facebookresearch/dinov3 backbones, and what uses their layout: EUPE, LingBot-Vision",
        rf"(?:model\.|state_dict\.)?{WRAPPED}",
        eva_names.from_dinov3,
        marks=(r"storage_tokens",),
    ),
    Format(
        "DINOv2",
        "facebookresearch/dinov2 backbones, with or without registers",
        rf"(?:model\.|state_dict\.)?{WRAPPED}",
        names.from_dinov2,
        marks=(r"mask_token", r"blocks\.(?:\d+\.)?\d+\.ls1\.gamma"),
    ),
    Format(
        "EVA-02",
        "baaivision/EVA's EVA-02: pre-training, fine-tuning, CLIP image towers",
        rf"{TIMM}(?:visual\.)?",
        eva_names.from_eva,
        marks=(r"blocks\.0\.attn\.(?:q_bias|q_proj\.weight)", r"blocks\.0\.mlp\.w12?\.weight"),
        which=TIMM_NETWORKS,
        beside=r"(?:.*\.)?(?:text\..*|logit_scale)",
    ),
    Format(
        "MAE",
        "facebookresearch/mae pre-training, with decoder",
        rf"(?:model\.)?{WRAPPED}",
        marks=(r"decoder_embed\.weight",),
    ),
    Format(
        "MAE",
        "facebookresearch/mae fine-tuning",
        r"model\.",
        marks=(r"fc_norm\.weight", r"head\.weight"),
    ),
    Format(
        "Perception Encoder",
        "facebookresearch/perception_models, with their CLIP's text tower or without",
        rf"(?:state_dict\.|weights\.|model\.)?{WRAPPED}(?:visual\.)?",
        eva_names.from_perception_encoder,
        "conv1.weight",
        (r"(?:attn_pool\.probe|transformer\.resblocks\.0\.ls_1\.gamma)",),
        beside=ANYTHING,
    ),
    Format(
        "Perception Encoder",
        "facebookresearch/perception_models, without pooling and layer scale",
        rf"(?:state_dict\.|weights\.|model\.)?{WRAPPED}",
        eva_names.from_perception_encoder,
        "conv1.weight",
        (r"transformer\.resblocks\.0\.attn\.in_proj_weight",),
    ),
    Format(
        "CLIP",
        "image tower of OpenAI's CLIP or OpenCLIP",
        rf"(?:state_dict\.)?{WRAPPED}visual\.",
        names.from_openai_clip,
        "conv1.weight",
        (r"class_embedding", r"transformer\.resblocks\.0\.attn\.in_proj_weight"),
        beside=ANYTHING,
    ),
    Format(
        "CLIP",
        "OpenCLIP with a timm image tower",
        rf"(?:state_dict\.)?{WRAPPED}visual\.trunk\.",
        beside=ANYTHING,
    ),
    Format(
        "timm",
        "timm, and who uses its names: DeiT, DINO's and MAE's encoder files, MoCo-v3's linear probes",
        TIMM,
        which=TIMM_NETWORKS,
    ),
)
JAX = "Google's vision_transformer and big_vision, .npz"


def identify(tensors: Mapping[str, Tensor], path: str, advice: str = "") -> tuple[Format, dict[str, str]]:
    """Return the format of named tensors, and the prefixes of the ViTs in them.

    Args:
        tensors: by name.
        path: the file, for messages.
        advice: sentence of the error.

    Raises:
        ValueError: a format that is not known; the message lists those that are.
    """
    for format_ in FORMATS:
        if networks := format_.networks(tensors):
            return format_, networks
    known = ", ".join(dict.fromkeys(name for name, _ in known_formats()))
    raise InputError(
        f"weights file {path!r} is of no known format, or holds no plain ViT. The first of its tensors "
        f"({len(tensors)}) are: {some(tensors) or 'none'}. {advice}Known formats (docs/weights.md): {known}"
    )


def known_formats() -> list[tuple[str, str]]:
    """Return name and author of every format."""
    return [*((format_.name, format_.about) for format_ in FORMATS), ("JAX", JAX)]
