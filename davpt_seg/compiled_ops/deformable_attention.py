"""Multi-scale deformable attention (arXiv 2010.04159) with the arguments of mmcv's compiled op, by torch.

mmcv has the same function in torch, which it calls on a CPU; Deformable DETR, DINO and Mask2Former call the compiled op
on a GPU. By torch it reads the maps once for each level, and takes more memory and time.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .half import single


def deformable_attention_forward(
    value: Tensor, shapes: Tensor, level_starts: Tensor, locations: Tensor, weights: Tensor, im2col_step: int
) -> Tensor:
    """Return sums of values that are sampled at places of several maps, (B, queries, heads * D).

    Args:
        value: values of all maps in a row, (B, keys, heads, D).
        shapes: height and width of each map, (levels, 2).
        level_starts: place of each map's first value; unused, since the shapes tell it.
        locations: places x and y from 0 to 1, (B, queries, heads, levels, points, 2).
        weights: weights of the places, (B, queries, heads, levels, points).
        im2col_step: images that the compiled op computes at once; unused.
    """
    from mmcv.ops.multi_scale_deform_attn import multi_scale_deformable_attn_pytorch

    out = multi_scale_deformable_attn_pytorch(single(value), shapes, single(locations), single(weights))
    return out.to(value.dtype)


def deformable_attention_backward(
    value: Tensor,
    shapes: Tensor,
    level_starts: Tensor,
    locations: Tensor,
    weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_locations: Tensor,
    grad_weights: Tensor,
    im2col_step: int,
) -> None:
    """Write the gradients of values, places and weights; see :func:`deformable_attention_forward`."""
    with torch.enable_grad():
        leaves = [leaf.detach().requires_grad_() for leaf in (value, locations, weights)]
        out = deformable_attention_forward(leaves[0], shapes, level_starts, leaves[1], leaves[2], im2col_step)
    for place, grad in zip((grad_value, grad_locations, grad_weights), torch.autograd.grad(out, leaves, grad_output)):
        place.copy_(grad)
