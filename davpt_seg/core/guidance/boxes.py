"""Conversion of boxes and masks of instances to label maps."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from ...errors import InputError


def paint_boxes(boxes: Tensor, labels: Tensor, size: tuple[int, int], ignore_index: int = 255) -> Tensor:
    """Paint boxes into a label map, small ones over large ones, to label patches as masks do.

    Args:
        boxes: left, top, right and bottom edges (n, 4), in pixels. A pixel is in a box if its centre is.
        labels: labels of the boxes, (n,) integers.
        size: (height, width) of the image.
        ignore_index: label of pixels outside all boxes.

    Returns:
        The label map (height, width), integers.

    Raises:
        ValueError: boxes that are not (n, 4), or a different number of boxes and labels.
    """
    if boxes.ndim != 2 or boxes.shape[1] != 4 or len(boxes) != len(labels):
        raise InputError(f"boxes {tuple(boxes.shape)} with {len(labels)} labels, expected (n, 4) boxes with n labels")
    height, width = size
    y = torch.arange(height, device=boxes.device) + 0.5
    x = torch.arange(width, device=boxes.device) + 0.5
    order = ((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])).argsort(descending=True)
    inside = (
        ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right)) for left, top, right, bottom in boxes[order]
    )
    return _painted(inside, labels[order], size, ignore_index)


def paint_masks(masks: Tensor, labels: Tensor, size: tuple[int, int], ignore_index: int = 255) -> Tensor:
    """Paint masks into a label map, small ones over large ones.

    Args:
        masks: pixels of each instance (n, h, w), bool, at the left and top of the image: what was padded is void.
        labels: labels of the masks, (n,) integers.
        size: (height, width) of the image.
        ignore_index: label of pixels outside all masks.

    Returns:
        The label map (height, width), integers.

    Raises:
        ValueError: masks that are not (n, h, w) or larger than the image, or a different number of masks and labels.
    """
    if masks.ndim != 3 or len(masks) != len(labels) or masks.shape[1] > size[0] or masks.shape[2] > size[1]:
        raise InputError(
            f"masks {tuple(masks.shape)} with {len(labels)} labels in an image of {size[0]} x {size[1]} pixels, "
            "expected (n, h, w) masks, no larger than the image, with n labels"
        )
    order = masks.flatten(1).sum(dim=1).argsort(descending=True)
    height, width = masks.shape[1:]
    painted = labels.new_full(size, ignore_index, dtype=torch.long)
    painted[:height, :width] = _painted((masks[i] for i in order), labels[order], (height, width), ignore_index)
    return painted


def _painted(inside: Iterable[Tensor], labels: Tensor, size: tuple[int, int], ignore_index: int) -> Tensor:
    """Paint labels one over the other, each where its map (height, width), bool, is true."""
    painted = labels.new_full(size, ignore_index, dtype=torch.long)
    for pixels, label in zip(inside, labels.long()):
        painted = torch.where(pixels, label, painted)
    return painted
