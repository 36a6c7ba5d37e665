"""Label maps from the boxes or masks of instances."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.guidance.boxes import paint_boxes, paint_masks


def instance_labels(sample: Any, size: tuple[int, int], ignore_index: int) -> Tensor:
    """Paint the instances of mmdet's ``DetDataSample`` into a label map, small ones over large ones.

    ``gt_instances`` has the classes, and masks (``BitmapMasks`` or ``PolygonMasks``) or, if it has none, boxes.
    ``ignored_instances``, crowds of COCO, are painted with the label of void. Pixels outside all instances are void.

    Args:
        sample: the data sample.
        size: (height, width) of the images of the batch; what was padded is void.
        ignore_index: label of void.

    Returns:
        The label map (height, width), integers.

    Raises:
        ValueError: a different number of instances and labels, or masks larger than the image.
    """
    instances, crowds = sample.gt_instances, sample.get("ignored_instances")
    parts = [(instances, instances.labels)]
    if crowds is not None and len(crowds):
        parts.append((crowds, torch.full_like(crowds.labels, ignore_index)))
    labels = torch.cat([each for _, each in parts])
    if all(hasattr(part, "masks") for part, _ in parts):
        masks = [part.masks.to_tensor(torch.bool, labels.device) for part, _ in parts]
        return paint_masks(_joined(masks), labels, size, ignore_index)
    return paint_boxes(torch.cat([_boxes(part) for part, _ in parts]), labels, size, ignore_index)


def _joined(masks: Sequence[Tensor]) -> Tensor:
    """Join masks (n, h, w) of several sizes: mmdet pads those of ``gt_instances`` alone."""
    height, width = (max(each.shape[side] for each in masks) for side in (1, 2))
    return torch.cat([F.pad(each, (0, width - each.shape[2], 0, height - each.shape[1])) for each in masks])


def _boxes(instances: Any) -> Tensor:
    boxes = instances.bboxes
    return getattr(boxes, "tensor", boxes)  # mmdet's box types hold the tensor there
