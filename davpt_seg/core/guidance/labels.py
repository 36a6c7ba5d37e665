"""Conversion of pixel labels to labels of patches and images, without a one-hot map."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ...errors import InputError


def pixel_counts(labels: Tensor, patch_size: tuple[int, int], num_classes: int, ignore_index: int = 255) -> Tensor:
    """Count the pixels of each class in each patch.

    Args:
        labels: label maps (B, H, W), integers. They are padded with void, right and below, to multiples of the patch,
            as images are.
        patch_size: (height, width) of a patch.
        num_classes: number of classes C.
        ignore_index: label of void pixels, which are not counted.

    Returns:
        Counts (B, ceil(H / height), ceil(W / width), C), integers.

    Raises:
        ValueError: labels that are neither below ``num_classes`` nor void.
    """
    height, width = patch_size
    labels = labels.long()  # in uint8, 256 classes would be none, and -1 would be 255
    void = labels == ignore_index
    wrong = ~void & ((labels < 0) | (labels >= num_classes))
    if wrong.any():
        found = sorted(set(labels[wrong].tolist()))
        raise InputError(
            f"label map holds {found}, but the data set has {num_classes} classes (0 to {num_classes - 1}) "
            f"and void is {ignore_index}; check num_classes, reduce_zero_label and the masks"
        )
    index = labels.masked_fill(void, num_classes)
    index = F.pad(index, (0, -index.shape[2] % width, 0, -index.shape[1] % height), value=num_classes)
    index = index.unflatten(2, (-1, width)).unflatten(1, (-1, height))  # (B, h, height, w, width)
    index = index.transpose(2, 3).flatten(3)  # (B, h, w, height * width)
    counts = index.new_zeros(*index.shape[:3], num_classes + 1)
    counts.scatter_add_(-1, index, torch.ones_like(index))
    return counts[..., :num_classes]


def majority_labels(counts: Tensor, num_pixels: int, purity: float = 0.5, ignore_index: int = 255) -> Tensor:
    """Label each patch by the class of most of its pixels (the lowest, on a tie).

    Args:
        counts: pixels of each class, (B, h, w, C).
        num_pixels: pixels in a patch, void ones included.
        purity: smallest share of a patch's pixels that its class must hold, in (0, 1]; other patches are void.
        ignore_index: label of void patches.

    Returns:
        Labels (B, h, w), integers.
    """
    most, label = counts.max(dim=-1)
    return label.masked_fill(most < purity * num_pixels, ignore_index)


def class_amounts(counts: Tensor) -> Tensor:
    """Count the pixels of each class in each image: (B, h, w, C) -> (B, C)."""
    return counts.flatten(1, 2).sum(dim=1)


def dominant_class(amounts: Tensor, ignore_index: int = 255) -> Tensor:
    """Return the most frequent class of each image (the lowest, on a tie).

    Args:
        amounts: amount of each class, (B, C).
        ignore_index: label of an image without any class.

    Returns:
        Classes (B,), integers.
    """
    most, label = amounts.max(dim=-1)
    return label.masked_fill(most == 0, ignore_index)
