"""timm's BEiT as an oracle: at the images' size, with its relative position biases as masks."""

from __future__ import annotations

import copy
from typing import Any

import torch
from timm.models.beit import Beit
from torch import Tensor, nn

from davpt_seg.core.blocks.beit import resampled


def of_size(trunk: Any, images: Tensor) -> Any:
    """Return a copy that timm set to the images' size, which only BEiT needs; other ViTs are returned as is.

    timm resamples tables in float32, with which ``test_relative.py`` compares; here they are resampled in float64.
    """
    if not isinstance(trunk, Beit):
        return trunk
    made, (height, width) = copy.deepcopy(trunk), trunk.patch_embed.patch_size
    old, new = trunk.patch_embed.grid_size, trunk.patch_embed.dynamic_feat_size(images.shape[2:])
    made.set_input_size((new[0] * height, new[1] * width))
    for own, module in zip(trunk.modules(), made.modules()):
        table = getattr(own, "relative_position_bias_table", None)
        if table is not None:
            module.relative_position_bias_table = nn.Parameter(resampled(table, old, new))
    return made


def relative_biases(trunk: Any) -> list[Tensor]:
    """Remove each block's biases (heads, 1 + N, 1 + N) from its attention and return them; none for other ViTs."""
    if not isinstance(trunk, Beit):
        return []
    shared = 0.0 if trunk.rel_pos_bias is None else trunk.rel_pos_bias()
    biases = [block.attn._get_rel_pos_bias()[0] + shared for block in trunk.blocks]
    for block in trunk.blocks:
        block.attn.relative_position_bias_table = None
    return biases


def with_places(bias: Tensor, prefix: int, number: int) -> Tensor:
    """Return biases with zeros for prompts that follow the prefix."""
    sides = (slice(0, prefix), slice(prefix, None))
    for dim in (1, 2):
        before, after = (bias.movedim(dim, 0)[side].movedim(0, dim) for side in sides)
        shape = list(bias.shape)
        shape[dim] = number
        bias = torch.cat([before, bias.new_zeros(shape), after], dim=dim)
    return bias
