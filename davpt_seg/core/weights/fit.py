"""A file's ViT made to fit timm's, where that is well-defined."""

from __future__ import annotations

import math
import re
from typing import Optional

import torch
from timm.layers import resample_abs_pos_embed, resample_patch_embed
from timm.models import adapt_input_conv

from ..blocks import Trunk
from ..blocks.beit import OF_CLASS_TOKEN, resampled
from .differences import times
from .eva_names import PERIODS
from .names import PATCH_KERNEL, State


def fit(tensors: State, trunk: Trunk, resample_patch: bool, adapt_input: bool = False) -> list[str]:
    """Make tensors fit a trunk's names and grid, in place; return what was done, one sentence each.

    Args:
        tensors: the file's, under timm's names.
        trunk: the ViT to fit.
        resample_patch: also resample the patch embedding to the trunk's patch size (FlexiViT's, arXiv 2212.08013).
        adapt_input: also make the patch embedding's kernels of three bands fit the trunk's number of bands.
    """
    _rename_layer_scale(tensors, trunk)
    _drop_own_periods(tensors, trunk)
    done = [
        _rename_final_norm(tensors, trunk),
        _resample_positions(tensors, trunk),
        _resample_relative_biases(tensors, trunk),
        _drop_zero_biases(tensors, trunk),
    ]
    if adapt_input:
        done.append(_adapt_input(tensors, trunk))
    if resample_patch:
        done.append(_resample_patch(tensors, trunk))
    return [sentence for sentence in done if sentence]


def _rename_final_norm(tensors: State, trunk: Trunk) -> Optional[str]:
    """A ViT has one final norm, before the pooling (``norm``) or after (``fc_norm``); here both act on each token."""
    wanted = trunk.state_dict()
    for own, other in (("norm", "fc_norm"), ("fc_norm", "norm")):
        if f"{own}.weight" in wanted.keys() - tensors.keys() and f"{other}.weight" in tensors.keys() - wanted.keys():
            for part in ("weight", "bias"):
                if f"{other}.{part}" in tensors:
                    tensors[f"{own}.{part}"] = tensors.pop(f"{other}.{part}")
            return f"{other} taken as {own}"
    return None


def _rename_layer_scale(tensors: State, trunk: Trunk) -> None:
    """Name the layer scale as the trunk does: ``ls1.gamma``, or ``gamma_1`` in timm's Eva and Beit."""
    wanted = trunk.state_dict()
    for name in list(tensors):
        turned = re.sub(r"(blocks\.\d+)\.gamma_(\d)$", r"\1.ls\2.gamma", name)
        if turned == name:
            turned = re.sub(r"(blocks\.\d+)\.ls(\d)\.gamma$", r"\1.gamma_\2", name)
        if name not in wanted and turned in wanted:
            tensors[turned] = tensors.pop(name)


def _drop_zero_biases(tensors: State, trunk: Trunk) -> Optional[str]:
    """Omit DINOv3's query and value biases where all are zero and the trunk has none, which is the same."""
    biases = [name for name in tensors if re.fullmatch(r"blocks\.\d+\.attn\.[qv]_bias", name)]
    if not biases or set(biases) & trunk.state_dict().keys() or any(tensors[name].any() for name in biases):
        return None
    for name in biases:
        del tensors[name]
    return f"{len(biases)} query and value biases omitted, which are zero: the model has none"


def _drop_own_periods(tensors: State, trunk: Trunk) -> None:
    """Omit the file's rotary periods where they are the trunk's; DINOv3 keeps them in 16 bits."""
    periods, own = tensors.get(PERIODS), getattr(getattr(trunk, "rope", None), "periods", None)
    if periods is None or own is None or periods.shape != own.shape:
        return
    if torch.allclose(periods.to(own), own, rtol=2**-7, atol=0):
        del tensors[PERIODS]


def _resample_positions(tensors: State, trunk: Trunk) -> Optional[str]:
    positions, own = tensors.get("pos_embed"), trunk.pos_embed
    if positions is None or own is None or positions.ndim != 3 or positions.shape == own.shape:
        return None
    prefix = 0 if getattr(trunk, "no_embed_class", False) else trunk.num_prefix_tokens
    patches = positions.shape[1] - prefix
    side = math.isqrt(max(patches, 0))
    if side < 1 or side * side != patches or positions.shape[2] != own.shape[2]:
        return None  # of no known grid, or of another width: refused by name
    height, width = trunk.patch_embed.grid_size
    tensors["pos_embed"] = resample_abs_pos_embed(
        positions, new_size=[height, width], old_size=[side, side], num_prefix_tokens=prefix
    )
    return f"position embeddings resampled from {side}x{side} to {height}x{width} patches"


def _resample_relative_biases(tensors: State, trunk: Trunk) -> Optional[str]:
    """Resample BEiT's tables (rows, heads) from a square grid, as timm's filter does."""
    wanted, sides = trunk.state_dict(), set()
    height, width = trunk.patch_embed.grid_size or (0, 0)
    for name, table in tensors.items():
        if not name.endswith("relative_position_bias_table") or name not in wanted or table.ndim != 2:
            continue
        offsets = math.isqrt(max(len(table) - OF_CLASS_TOKEN, 0))
        side = (offsets + 1) // 2
        other_grid = len(table) != len(wanted[name]) and table.shape[1] == wanted[name].shape[1]
        if other_grid and offsets % 2 and offsets**2 == len(table) - OF_CLASS_TOKEN:  # otherwise refused by name
            tensors[name] = resampled(table, (side, side), (height, width))
            sides.add(side)
    grids = " and ".join(f"{side}x{side}" for side in sorted(sides))
    return f"biases by relative position resampled from {grids} to {height}x{width} patches" if sides else None


def _adapt_input(tensors: State, trunk: Trunk) -> Optional[str]:
    """Make kernels of N bands from those of three, as timm does: cyclically repeated times 3 / N, or the sum for one.

    On N bands that repeat red, green, blue in turn, N a multiple of three, the result is that of the three bands.
    """
    kernel, wanted = tensors.get(PATCH_KERNEL), trunk.state_dict().get(PATCH_KERNEL)
    if kernel is None or wanted is None or kernel.ndim != 4 or kernel.shape[1] != 3 or wanted.shape[1] == 3:
        return None
    tensors[PATCH_KERNEL] = adapt_input_conv(wanted.shape[1], kernel)
    return f"patch embedding adapted from 3 to {wanted.shape[1]} bands"


def _resample_patch(tensors: State, trunk: Trunk) -> Optional[str]:
    kernel, size = tensors.get(PATCH_KERNEL), list(trunk.patch_embed.patch_size)
    if kernel is None or kernel.ndim != 4 or list(kernel.shape[2:]) == size:
        return None
    tensors[PATCH_KERNEL] = resample_patch_embed(kernel, size)
    return f"patch embedding resampled from {times(kernel.shape[2:])} to {times(size)} pixels"
