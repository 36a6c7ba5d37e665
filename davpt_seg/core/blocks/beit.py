"""timm's BEiT and BEiTv2 (``timm.models.beit``): a learned bias by relative position is added to attention's scores.

A table holds a bias per head for each offset between two patches, and three for what involves the class token. Prompts
have no place: no bias is added to the scores of their keys. Tables of another size than the images' are resampled as
timm does it when it sets another input size.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple, Optional

import torch
import torch.nn.functional as F
from timm.layers import resample_abs_pos_embed, resize_rel_pos_bias_table
from timm.models.beit import Beit, gen_relative_position_index
from torch import Tensor

from ..precision import without_autocast
from ..projection import Projected
from .eva import EvaFamily
from .family import Embedded, Heads, joined, shifted

#: Rows at the end of a table: from the class token, to it, and from it to itself.
OF_CLASS_TOKEN = 3


class RelativeBias(NamedTuple):
    """Biases of attention's scores in one block.

    Attributes:
        table: a row for each relative position, (rows, heads).
        row_of: each pair's row, (1 + N, 1 + N), queries before keys.
    """

    table: Tensor
    row_of: Tensor


class BeitFamily(EvaFamily):
    """BEiT's pre-norm block: biases beside a fused ``qkv``, ``gamma_1`` and ``gamma_2``, as EVA has them."""

    def attention(self, block: Any) -> Heads:
        """Return the block's heads."""
        attn = block.attn
        return Heads(attn.num_heads, self.sizes(block)[0] // attn.num_heads, attn.scale, attn.attn_drop, attn.training)

    def sizes(self, block: Any) -> tuple[int, int, int]:
        """Return the output channels of the projections to queries, keys and values."""
        size = block.attn.qkv.out_features // 3
        return size, size, size

    def project(self, block: Any, entering: Tensor, offset: Optional[Tensor] = None) -> Projected:
        """Project by ``qkv`` and the biases beside it."""
        attn = block.attn
        qkv = shifted(attn.qkv(entering), joined(self.biases(block), offset))
        return Projected(*qkv.unflatten(-1, (3, attn.num_heads, -1)).unbind(-3))

    def placed(self, block: Any, tokens: Projected, position: Any) -> Projected:
        """Return queries and keys as they are."""
        return tokens

    def mask(self, block: Any, position: Any, queries: int, keys: int) -> Optional[Tensor]:
        """Return the biases of all pairs of tokens, and 0 for prompts: (heads, queries, keys)."""
        if position is None:
            return None
        bias = position.table[position.row_of].permute(2, 0, 1)
        return F.pad(bias, (0, keys - bias.shape[2], 0, queries - bias.shape[1]))

    def gather(self, block: Any, entering: Tensor, heads: Tensor) -> Tensor:
        """Return the concatenated heads (B, N, heads * head_dim) as they are."""
        return heads


def embed(trunk: Beit, images: Tensor, carried: int) -> Embedded:
    """Turn images (B, 3, H, W) into tokens, and find the biases of their relative positions."""
    grid = trunk.patch_embed.dynamic_feat_size((images.shape[2], images.shape[3]))
    patches = trunk.patch_embed(images)
    tokens = torch.cat([trunk.cls_token.expand(patches.shape[0], -1, -1), patches], dim=1)
    if trunk.pos_embed is not None:
        tokens = tokens + resample_abs_pos_embed(
            trunk.pos_embed, new_size=list(grid), old_size=list(trunk.patch_embed.grid_size), num_prefix_tokens=1
        )
    tables = bias_tables(trunk, grid)
    if tables is None:
        return Embedded(trunk.pos_drop(tokens), [None] * len(trunk.blocks))
    row_of = gen_relative_position_index(grid, device=images.device)
    return Embedded(trunk.pos_drop(tokens), [RelativeBias(table, row_of) for table in tables])


def bias_tables(trunk: Beit, grid: tuple[int, int]) -> Optional[Sequence[Tensor]]:
    """Return the biases of each block by relative position in a grid of patches, (rows, heads), or None for none.

    A table that all blocks share is added to the blocks' own.
    """
    blocks: Any = trunk.blocks
    old: tuple[int, int] = tuple(trunk.patch_embed.grid_size)
    shared = None if trunk.rel_pos_bias is None else trunk.rel_pos_bias.relative_position_bias_table
    own = [block.attn.relative_position_bias_table for block in blocks]
    if own[0] is None:
        return None if shared is None else [resampled(shared, old, grid)] * len(own)
    tables = torch.stack(own if shared is None else [table + shared for table in own], dim=1)  # (rows, blocks, heads)
    return resampled(tables.flatten(1), old, grid).chunk(len(own), dim=1)


def resampled(table: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Resample a table (rows, heads) from a grid (h, w) of patches to another; the class token's rows stay.

    timm's resampling is bilinear, between offsets whose spacing grows with distance (BEiT's, arXiv 2106.08254). It runs
    on a CPU and in float32, so it is asked once where it reads, and any table is then resampled by two products. ONNX
    has no part of it: before an export by tracing, run the model on images of that size once.
    """
    if old == new:
        return table
    # what is computed while a graph is made of the model must not be kept
    read = places_read.__wrapped__ if torch.compiler.is_compiling() else places_read
    places = read(old, new, table.device)
    down, across = (_between(each, side).to(table.dtype) for each, side in zip(places, old))
    of_patches = table[:-OF_CLASS_TOKEN].unflatten(0, (down.shape[1], across.shape[1]))
    with without_autocast(table.device):
        of_patches = torch.einsum("ya,xb,abh->yxh", down, across, of_patches)
    return torch.cat([of_patches.flatten(0, 1), table[-OF_CLASS_TOKEN:]])


@lru_cache(maxsize=64)
def places_read(old: tuple[int, int], new: tuple[int, int], device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the offsets, down (2h - 1,) and across (2w - 1,), that timm reads of an old grid for a new one."""
    with torch.inference_mode(False), torch.no_grad():
        offsets = torch.cartesian_prod(*(torch.arange(1.0 - side, side) for side in old))  # (rows, 2)
        table = torch.cat([offsets, offsets.new_zeros(OF_CLASS_TOKEN, 2)])
        down, across = (2 * side - 1 for side in new)
        shape = (down * across + OF_CLASS_TOKEN, 2)
        made = resize_rel_pos_bias_table(table, new, shape, old_window_size=old)[:-OF_CLASS_TOKEN].to(device)
        made = made.unflatten(0, (down, across))
        return made[:, 0, 0].clone(), made[0, :, 1].clone()


def _between(places: Tensor, side: int) -> Tensor:
    """Return weights (places, 2 * side - 1) that interpolate linearly between the offsets of ``side`` patches."""
    offsets = torch.arange(1.0 - side, side, device=places.device)
    return (1 - (places[:, None] - offsets).abs()).clamp(min=0)
