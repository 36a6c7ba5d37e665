"""What a ViT returns: image tokens, and maps of the size of the image."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple, Optional

import torch
from torch import Tensor

from .blocks import Trunk
from .guidance.metric import GuidedRecord
from .precision import without_autocast


class Features(NamedTuple):
    """What a forward pass gives.

    That is the class token (B, D) and the mean patch token (B, D), both normalised, the maps (B, D, h, w), and the
    records of the guided blocks. A token is None where the ViT has none or the model's ``outputs`` omit it.
    """

    class_token: Optional[Tensor]
    mean_token: Optional[Tensor]
    maps: tuple[Tensor, ...]
    records: tuple[GuidedRecord, ...]


def image_tokens(
    trunk: Trunk, tokens: Tensor, pooled: slice, outputs: Collection[str]
) -> tuple[Optional[Tensor], Optional[Tensor]]:
    """Return the normalised class token and mean token, each (B, D), or None where not among the outputs.

    Args:
        trunk: the ViT.
        tokens: tokens that left its last block.
        pooled: places of those that are averaged.
        outputs: what a forward pass computes.
    """
    class_token = mean_token = None
    if set(outputs) - {"maps"}:
        tokens = trunk.norm(tokens)  # or timm normalises the pooled token by fc_norm: the other is an Identity
        if "class_token" in outputs and trunk.cls_token is not None:
            class_token = trunk.fc_norm(tokens[:, 0])
        if "mean_token" in outputs:
            mean_token = trunk.fc_norm(tokens[:, pooled].mean(dim=1))
    return class_token, mean_token


def to_map(trunk: Trunk, patches: Tensor, images: Tensor, grid: tuple[int, int], norm: bool) -> Tensor:
    """Turn patch tokens (B, h * w, D) of a grid (h, w) into a map (B, D, h, w) of the images' extent."""
    if norm:
        patches = trunk.fc_norm(trunk.norm(patches))
    height, width = (side / patch for side, patch in zip(images.shape[2:], trunk.patch_embed.patch_size))
    return crop_to_extent(patches.transpose(1, 2).unflatten(2, grid), height, width)


def crop_to_extent(maps: Tensor, height: float, width: float) -> Tensor:
    """Cut padding off maps (B, D, h, w) of which only the first ``height`` x ``width`` cells are image.

    The cut goes through a cell, so the rest is resampled bilinearly to h x w cells of equal size: heads can then
    stretch the map over the image without a shift.
    """
    for dim, extent in ((2, height), (3, width)):
        size = maps.shape[dim]
        if not isinstance(extent, torch.SymFloat) and extent == size:  # which is not asked of a dynamic size
            continue
        cells = torch.arange(size, device=maps.device, dtype=torch.float32)
        centres = ((cells + 0.5) * (extent / size) - 0.5).clamp(min=0)
        hat = (1 - (centres[:, None] - cells).abs()).clamp(min=0).to(maps.dtype)  # (new, old)
        with without_autocast(maps.device):  # keeps the maps' own type, as complete patches do
            maps = torch.movedim(torch.movedim(maps, dim, -1) @ hat.T, -1, dim)
    return maps
