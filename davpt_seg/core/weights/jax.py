"""Google's ``.npz`` files, turned into timm's names by timm's own loader."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from ...errors import InputError, some
from .damage import BROKEN, expansion
from .files import UNREADABLE

PREFIXES = ("params/img/", "params/", "opt/target/", "")
BLOCK = r"Transformer/encoderblock(?:_(?P<index>\d+))?/"
# Everything that timm's loader reads of a plain ViT.
READ = (
    r"embedding/(?:kernel|bias)",
    r"cls",
    r"(?:Transformer/posembed_input/)?pos_embedding",
    r"Transformer/encoder_norm/(?:scale|bias)",
    rf"{BLOCK}LayerNorm_\d/(?:scale|bias)",
    rf"{BLOCK}MlpBlock_\d/Dense_[01]/(?:kernel|bias)",
    rf"{BLOCK}MultiHeadDotProductAttention_\d/(?:query|key|value|out)/(?:kernel|bias)",
)
MOST_BLOCKS = 1000
LEFT_OUT = {
    "classifier or projection head": r"head/.*",
    "pre-logits layer": r"pre_logits/.*",
    "pooling head": r"MAPHead_0/.*",
}


def read_npz(path: Path) -> tuple[dict[str, Tensor], dict[str, list[str]], list[str]]:
    """Read a ViT from a ``.npz`` file.

    Returns:
        tensors under timm's names; names omitted on purpose, by reason; names that no ViT has.

    Raises:
        ValueError: a broken file, or one that holds no complete ViT.
    """
    try:
        if reason := expansion(path):
            raise InputError(reason)
        archive = np.load(path, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InputError("it is a single array")
        with archive:
            names = list(archive.files)
            prefix = next((prefix for prefix in PREFIXES if f"{prefix}embedding/kernel" in names), None)
            if prefix is None:
                raise InputError(f"it has no ViT's embedding/kernel, but {some(names) or 'nothing'}")
            model = _like(archive, prefix)
        model.load_pretrained(str(path))
    except KeyError as error:
        raise InputError(f"weights file {str(path)!r} (format JAX) lacks a part of a ViT: {error}") from error
    except (*UNREADABLE, *BROKEN, ArithmeticError) as error:
        raise InputError(f"weights file {str(path)!r} is not an intact JAX .npz file of a ViT: {error}") from error
    left_out, unexpected = _unread(names, prefix)
    return dict(model.state_dict()), left_out, unexpected


def _like(archive: np.lib.npyio.NpzFile, prefix: str) -> VisionTransformer:
    """A ViT of the very sizes that the file has, so that timm's loader copies all of it and resamples nothing."""
    blocks = {found["index"] for name in archive.files if (found := re.match(prefix + BLOCK, name))}
    if not blocks:
        raise InputError("it has no Transformer/encoderblock")
    stacked = None in blocks  # big_vision's scan keeps all blocks in one array
    block = f"{prefix}Transformer/encoderblock" + ("/" if stacked else f"_{min(blocks, key=int)}/")

    def shape(pattern: str) -> Sequence[int]:
        name = next((name for name in archive.files if re.fullmatch(pattern, name)), None)
        if name is None:
            raise KeyError(pattern)
        if not archive[name].size:
            raise InputError(f"its part {name} is empty")
        return archive[name].shape

    *patch, channels, width = shape(f"{prefix}embedding/kernel")
    positions = shape(rf"{prefix}(?:Transformer/posembed_input/)?pos_embedding")[-2]
    class_token = f"{prefix}cls" in archive.files
    embed_class = class_token and math.isqrt(positions - 1) ** 2 == positions - 1 > 0
    side = math.isqrt(positions - embed_class)
    sizes: dict[str, Any] = dict(
        img_size=(patch[0] * side, patch[1] * side),
        patch_size=tuple(patch),
        in_chans=channels,
        embed_dim=width,
        depth=shape(f"{block}LayerNorm_0/scale")[0] if stacked else len(blocks),
        num_heads=shape(rf"{block}MultiHeadDotProductAttention_\d/query/kernel")[-2],
        mlp_ratio=(shape(rf"{block}MlpBlock_\d/Dense_0/kernel")[-1] + 0.5) / width,  # timm rounds it down
        class_token=class_token,
        no_embed_class=not embed_class,
        global_pool="",
        num_classes=0,
        weight_init="skip",
    )
    if sizes["depth"] > MOST_BLOCKS:
        raise InputError(f"it has {sizes['depth']} blocks; at most {MOST_BLOCKS} are read")
    with torch.device("meta"):  # which holds no values
        needed = sum(int(value.numel()) for value in VisionTransformer(**sizes).parameters())
    parts = archive.zip.infolist() if archive.zip else []
    held = sum(part.file_size for part in parts) // 2  # numbers of 16 bits
    if needed > held:
        raise InputError(f"a ViT of its parts' shapes has {needed:,} parameters, and the file holds {held:,} at most")
    return VisionTransformer(**sizes)


def _unread(names: Sequence[str], prefix: str) -> tuple[dict[str, list[str]], list[str]]:
    left_out: dict[str, list[str]] = {}
    unexpected = []
    for name in names:
        own = name[len(prefix) :]
        if not name.startswith(prefix):
            left_out.setdefault("other modules", []).append(name)
        elif reason := next((reason for reason, pattern in LEFT_OUT.items() if re.fullmatch(pattern, own)), None):
            left_out.setdefault(reason, []).append(name)
        elif not any(re.fullmatch(pattern, own) for pattern in READ):
            unexpected.append(name)
    return left_out, unexpected
