"""Replacement of mmcv's compiled ops where mmcv has none: those of detectors by torchvision, errors by name for others.

``mmcv-lite`` has no ``mmcv._ext``. mmseg imports ``mmcv.ops`` with its models, and detectors call non-maximum
suppression, RoI Align and, on a GPU, the sigmoid focal loss there. torchvision has the same definitions, and computes
them here on any device.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from typing import Any

import torch
from torch import Tensor

MAX_POOL = 0  # mmcv's number for pool_mode='max'


class UncompiledOps(types.ModuleType):
    """Replacement of ``mmcv._ext`` while ``mmcv.ops`` looks up its functions; a call raises an error with the name."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name in ("get_compiler_version", "get_compiling_cuda_version"):
            return lambda: "none: mmcv without compiled ops"
        if name in BY_TORCHVISION:
            return BY_TORCHVISION[name]

        def missing(*args: Any, **kwargs: Any) -> None:
            raise NotImplementedError(f"mmcv.ops needs its compiled op {name!r} here; install full mmcv for it")

        return missing


def stub_compiled_ops() -> bool:
    """Make ``mmcv.ops`` importable where mmcv has no compiled ops; return whether that was needed.

    The stub is removed afterwards, so that other checks for full mmcv do not find it.
    """
    if importlib.util.find_spec("mmcv") is None or "mmcv.ops" in sys.modules:
        return False
    if importlib.util.find_spec("mmcv._ext") is not None:
        return False
    sys.modules["mmcv._ext"] = UncompiledOps("mmcv._ext")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mmcv.ops  # noqa: F401
    finally:
        del sys.modules["mmcv._ext"]
        sys.modules["mmcv"].__dict__.pop("_ext", None)
    return True


def _nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
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
    """Return half-precision values in float32: torchvision has no kernels for all half types and devices."""
    return values.float() if values.element_size() < 4 else values


def _roi_align_forward(
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


def _roi_align_backward(
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
    """Write the maps' gradient into ``grad_input`` (B, C, H, W); see :func:`_roi_align_forward`."""
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


def _focal_loss(logits: Tensor, target: Tensor, weight: Tensor, gamma: float, alpha: float) -> Tensor:
    """Return the sigmoid focal loss (arXiv 1708.02002, Eq. 5) of each logit, (n, C).

    Args:
        logits: logits (n, C).
        target: a class for each row, (n,); C is background.
        weight: empty.
        gamma: exponent of what is missing to certainty.
        alpha: weight of the target's class; of all others 1 - alpha.

    Raises:
        NotImplementedError: weights of classes.
    """
    from torchvision.ops import sigmoid_focal_loss

    if weight.numel():
        raise NotImplementedError("SigmoidFocalLoss with weights of classes needs mmcv's compiled ops (full mmcv)")
    classes = logits.shape[1]
    wanted = torch.nn.functional.one_hot(target, classes + 1)[:, :classes].to(logits.dtype)
    return sigmoid_focal_loss(logits, wanted, alpha, gamma)


def _focal_loss_forward(
    logits: Tensor, target: Tensor, weight: Tensor, output: Tensor, gamma: float, alpha: float
) -> None:
    """Write the loss of each logit into ``output`` (n, C); see :func:`_focal_loss`."""
    output.copy_(_focal_loss(logits, target, weight, gamma, alpha))


def _focal_loss_backward(
    logits: Tensor, target: Tensor, weight: Tensor, grad_input: Tensor, gamma: float, alpha: float
) -> None:
    """Write the derivative of each logit's loss into ``grad_input`` (n, C); see :func:`_focal_loss`."""
    with torch.enable_grad():
        leaf = logits.detach().requires_grad_()
        total = _focal_loss(leaf, target, weight, gamma, alpha).sum()
    grad_input.copy_(torch.autograd.grad(total, leaf)[0])


BY_TORCHVISION = {
    "nms": _nms,
    "sigmoid_focal_loss_forward": _focal_loss_forward,
    "sigmoid_focal_loss_backward": _focal_loss_backward,
    "roi_align_forward": _roi_align_forward,
    "roi_align_backward": _roi_align_backward,
}
