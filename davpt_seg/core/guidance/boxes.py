"""Conversion of boxes to label maps."""

from __future__ import annotations

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
    painted = labels.new_full(size, ignore_index, dtype=torch.long)
    y = torch.arange(height, device=boxes.device) + 0.5
    x = torch.arange(width, device=boxes.device) + 0.5
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    for i in area.argsort(descending=True).tolist():
        left, top, right, bottom = boxes[i]
        inside = ((y >= top) & (y < bottom))[:, None] & ((x >= left) & (x < right))
        painted = torch.where(inside, labels[i].long(), painted)
    return painted
