"""Targets of guidance: the class of each patch and the classes of each image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, NamedTuple

import torch
from torch import Tensor

from ...errors import InputError
from ..annotations import Classes, OneOf, Range
from ..arguments import Arguments
from .labels import class_amounts, dominant_class, majority_labels, pixel_counts

LABELS = ("patch", "image")


class Targets(NamedTuple):
    """Class of each patch, (B, N), or void, and the classes that each image holds, (B, C) bool."""

    patches: Tensor
    present: Tensor


@dataclass(frozen=True)
class Labelling(Arguments):
    """Conversion of a batch's labels into targets.

    Args:
        patch_size: (height, width) of the trunk's patches.
        num_classes: number of classes C. In a config, it is an argument of guidance itself.
        labels: ``patch`` gives each patch its own label where labels are that detailed. ``image`` (the released code of
            DA-VPT, arXiv 2505.23694) gives an image and all its patches the class that most of its pixels have.
        purity: smallest share of a patch's pixels that its class must hold; other patches are void.
        ignore_index: label of void pixels and patches.

    Raises:
        ValueError: unknown ``labels``, a purity outside (0, 1], or an ignore_index that is a class.
    """

    what = "guidance labelling"
    patch_size: tuple[int, int]
    num_classes: Classes
    labels: Annotated[str, OneOf(LABELS)] = "patch"
    purity: Annotated[float, Range(above=0, most=1)] = 0.5
    ignore_index: int = 255

    def __post_init__(self) -> None:
        super().__post_init__()
        if 0 <= self.ignore_index < self.num_classes:
            raise InputError(
                f"guidance labelling ignore_index {self.ignore_index} is one of the {self.num_classes} classes; set it "
                "to the label that void has in the data set and in the heads"
                + (" (65535, say; docs/data.md lists the parts)" if self.num_classes > 255 else "")
            )

    def __call__(self, labels: Tensor, batch_size: int, grid: tuple[int, int]) -> Targets:
        """Return the targets of images of (h, w) patches, from label maps (B, H, W) or classes (B, C) bool.

        Patches take the label of an image with a single class. If an image holds several classes, its patches are void.

        Raises:
            ValueError: labels that do not fit the images, or that are unknown.
        """
        patches, amounts = (self._of_images if labels.ndim == 2 else self._of_pixels)(labels, batch_size, grid)
        if self.labels == "image":
            image = dominant_class(amounts, self.ignore_index)[:, None]
            patches = image.expand(-1, grid[0] * grid[1])
            amounts = amounts * (image == torch.arange(self.num_classes, device=image.device))
        return Targets(patches, amounts > 0)

    def _of_pixels(self, labels: Tensor, batch_size: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        counts = pixel_counts(labels, self.patch_size, self.num_classes, self.ignore_index)
        patches = majority_labels(counts, self.patch_size[0] * self.patch_size[1], self.purity, self.ignore_index)
        if patches.shape != (batch_size, *grid):
            raise InputError(
                f"label maps {tuple(labels.shape)} give {tuple(patches.shape)} patches, but the images gave "
                f"{(batch_size, *grid)}: images and label maps must have the same height and width"
            )
        return patches.flatten(1), class_amounts(counts)

    def _of_images(self, labels: Tensor, batch_size: int, grid: tuple[int, int]) -> tuple[Tensor, Tensor]:
        if labels.shape != (batch_size, self.num_classes):
            raise InputError(
                f"image labels are {tuple(labels.shape)}, but {batch_size} images and {self.num_classes} classes need "
                f"{(batch_size, self.num_classes)}"
            )
        amounts = labels.long()
        several = amounts.sum(dim=1) > 1
        image = dominant_class(amounts, self.ignore_index).masked_fill(several, self.ignore_index)
        return image[:, None].expand(-1, grid[0] * grid[1]), amounts
