"""The public checkpoint formats: by what each is known, and which of its networks is the ViT."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Callable, Optional

from torch import Tensor

from . import names
from .names import PATCH_KERNEL, State

WRAPPED = r"(?:module\.|_orig_mod\.)*"  # by DistributedDataParallel, by torch.compile
OPENMMLAB = rf"(?:(?P<which>state_dict|ema_state_dict)\.)?{WRAPPED}"
ANYTHING = r".*"


@dataclass(frozen=True)
class Format:
    """One row of the table of formats.

    Args:
        name: what the log calls it.
        about: who writes it.
        network: pattern of what stands before the ViT's own names; its group ``which`` tells several networks apart.
        to_timm: turns the ViT's names into timm's.
        kernel: the ViT's patch embedding, by its name in this format.
        marks: patterns of names that the ViT has in this format and in no later one.
        which: the networks a file may hold, the one taken by default first.
        beside: pattern of names outside the network that may be left out: heads, optimizers, text towers.
    """

    name: str
    about: str
    network: str
    to_timm: Callable[[State], State] = names.from_timm
    kernel: str = PATCH_KERNEL
    marks: tuple[str, ...] = ()
    which: tuple[str, ...] = ()
    beside: Optional[str] = None

    def networks(self, tensors: Iterable[str]) -> dict[str, str]:
        """Return the prefixes of the ViTs among tensor names, by the words for ``which``, the default first."""
        found = {}
        for name in tensors:
            prefix = name[: -len(self.kernel)]
            match = re.fullmatch(self.network, prefix) if name.endswith(self.kernel) else None
            if match and self._marked(prefix, tensors):
                found[match.groupdict().get("which") or ""] = prefix
        return dict(sorted(found.items(), key=lambda item: (*self.which, "").index(item[0])))

    def _marked(self, prefix: str, tensors: Iterable[str]) -> bool:
        return all(any(re.fullmatch(re.escape(prefix) + mark, name) for name in tensors) for mark in self.marks)


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
        "MoCo-v3",
        "facebookresearch/moco-v3 pre-training",
        rf"(?:state_dict\.)?{WRAPPED}(?P<which>base_encoder|momentum_encoder)\.",
        which=("base_encoder", "momentum_encoder"),
        beside=rf"(?:state_dict\.)?{WRAPPED}predictor\..*",
    ),
    Format(
        "DINOv2",
        "facebookresearch/dinov2 training",
        rf"(?:model\.)?(?P<which>teacher|student)\.{WRAPPED}backbone\.",
        names.from_dinov2,
        marks=(r"mask_token",),
        which=("teacher", "student"),
        beside=r"(?:model\.)?(?:(?:teacher|student)\.(?:module\.)?\w*head\.|\w+_loss\.).*",
    ),
    Format(
        "DINO",
        "facebookresearch/dino full checkpoints",
        rf"(?P<which>teacher|student)\.{WRAPPED}backbone\.",
        which=("teacher", "student"),
        beside=r"(?:(?:teacher|student)\.(?:module\.)?head\.|dino_loss\.).*",
    ),
    Format(
        "DINOv2",
        "facebookresearch/dinov2 backbones, with or without registers",
        rf"(?:model\.|state_dict\.)?{WRAPPED}",
        names.from_dinov2,
        marks=(r"mask_token", r"blocks\.(?:\d+\.)?\d+\.ls1\.gamma"),
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
        rf"(?:(?P<which>state_dict_ema|model_ema|state_dict|model)\.)?{WRAPPED}",
        which=("state_dict_ema", "model_ema", "state_dict", "model"),
    ),
)
JAX = "Google's vision_transformer and big_vision, .npz"


def identify(tensors: Mapping[str, Tensor], path: str) -> tuple[Format, dict[str, str]]:
    """Return the format of named tensors, and the prefixes of the ViTs in them.

    Raises:
        ValueError: a format that is not known; the message lists those that are.
    """
    for format_ in FORMATS:
        if networks := format_.networks(tensors):
            return format_, networks
    known = "\n".join(f"  {name}: {about}" for name, about in known_formats())
    first = ", ".join(list(tensors)[:8]) or "none"
    raise ValueError(
        f"weights file {path!r} is of no known format, or holds no plain ViT. The first of its tensors "
        f"({len(tensors)}) are: {first}\nKnown formats:\n{known}"
    )


def known_formats() -> list[tuple[str, str]]:
    """Return name and author of every format."""
    return [*((format_.name, format_.about) for format_ in FORMATS), ("JAX", JAX)]
