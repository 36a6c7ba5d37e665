"""Non-maximum suppression and RoI Align with the arguments of mmcv's compiled ops, by torchvision."""

from __future__ import annotations

import torch
from torch import Tensor

MAX_POOL = 0  # mmcv's number for pool_mode='max'


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Return the indices of the boxes (n, 4) that non-maximum suppression keeps, highest score first.

    Args:
        boxes: left, top, right and bottom edges.
        scores: a score for each box, (n,).
        iou_threshold: overlap above which the box with the lower score is dropped.
        offset: 1 where edges are indices of pixels, so that a box is one pixel wider and higher than their differences.
    """
    from torchvision.ops import nms

    edges = boxes + boxes.new_tensor([0, 0, offset, offset]) if offset else boxes
    return nms(_single(edges), _single(scores).to(_single(edges).dtype), iou_threshold)


def _single(values: Tensor) -> Tensor:
    """Return half-precision values in float32: not all kernels have all half types."""
    return values.float() if values.element_size() < 4 else values


def roi_align_forward(
    maps: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the mean of each bin of each region into ``output`` (n, C, height, width).

    Args:
        maps: feature maps (B, C, H, W).
        rois: image, left, top, right and bottom edges, (n, 5).
        output: result, written in place.
        argmax_y: unused; for maxima.
        argmax_x: unused; for maxima.
        aligned_height: bins of a region, from top to bottom.
        aligned_width: bins of a region, from left to right.
        spatial_scale: pixels of the maps to pixels of the image.
        sampling_ratio: samples of a bin in each direction; 0 for one about every pixel of the maps.
        pool_mode: 1 for means.
        aligned: shift the regions by half a pixel.

    Raises:
        NotImplementedError: maxima, which torchvision does not have.
    """
    from torchvision.ops import roi_align

    if pool_mode == MAX_POOL:
        raise NotImplementedError("RoIAlign with pool_mode='max' needs mmcv's compiled ops; use 'avg', or full mmcv")
    size = (aligned_height, aligned_width)
    maps = _single(maps)
    output.copy_(roi_align(maps, rois.to(maps.dtype), size, spatial_scale, sampling_ratio, aligned))


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Write the maps' gradient into ``grad_input`` (B, C, H, W); see :func:`roi_align_forward`."""
    import torchvision  # noqa: F401  (registers the op)

    grad_output = _single(grad_output)
    grad_input.copy_(
        torch.ops.torchvision._roi_align_backward(
            grad_output,
            rois.to(grad_output.dtype),
            spatial_scale,
            aligned_height,
            aligned_width,
            *grad_input.shape,
            sampling_ratio,
            aligned,
        )
    )
