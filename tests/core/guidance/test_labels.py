"""Patch labels against counting pixel by pixel, and without a one-hot map of the pixels."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from davpt_seg.core.guidance.labels import class_amounts, dominant_class, majority_labels, pixel_counts

C = 5
VOID = 255


def patches(labels: Tensor, patch_size: tuple[int, int]) -> list[list[list[Counter]]]:
    """Count the labels of every patch of every image, [image][row][column], pixel by pixel."""
    height, width = patch_size
    rows, columns = -(-labels.shape[1] // height), -(-labels.shape[2] // width)
    counters = [[[Counter() for _ in range(columns)] for _ in range(rows)] for _ in labels]
    for image, label_map in enumerate(labels.tolist()):
        for y, line in enumerate(label_map):
            for x, label in enumerate(line):
                counters[image][y // height][x // width][label] += 1
    return counters


def slow_counts(labels: Tensor, patch_size: tuple[int, int]) -> Tensor:
    counters = patches(labels, patch_size)
    return torch.tensor([[[[cell[c] for c in range(C)] for cell in row] for row in image] for image in counters])


def slow_majority(labels: Tensor, patch_size: tuple[int, int], purity: str) -> Tensor:
    """A class holds a patch if its share of ALL the patch's pixels, padding and void among them, is high enough."""
    area = patch_size[0] * patch_size[1]

    def label(cell: Counter) -> int:
        most = max(cell[c] for c in range(C))
        if most == 0 or Fraction(most, area) < Fraction(purity):
            return VOID
        return min(c for c in range(C) if cell[c] == most)

    return torch.tensor([[[label(cell) for cell in row] for row in image] for image in patches(labels, patch_size)])


def blobs(height: int, width: int, cell: int = 6, void: float = 0.2) -> Tensor:
    """Label maps of two images: coarse blobs, so that patches are pure to all degrees, with void pixels strewn in."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randint(C, (2, -(-height // cell), -(-width // cell)), generator=generator)
    labels = coarse.repeat_interleave(cell, 1).repeat_interleave(cell, 2)[:, :height, :width].clone()
    return labels.masked_fill(torch.rand(labels.shape, generator=generator) < void, VOID)


SHAPES = [
    ((48, 48), (8, 8)),
    ((32, 56), (8, 8)),
    ((30, 45), (8, 8)),
    ((28, 35), (7, 5)),
    ((31, 33), (7, 5)),
    ((3, 4), (7, 5)),
]


MIXTURES = [(6, 0.2), (16, 0.08), (16, 0.0)]  # cell, share of void pixels


@pytest.mark.parametrize(("image", "patch_size"), SHAPES)
def test_counts_equal_counting_pixel_by_pixel(image: tuple[int, int], patch_size: tuple[int, int]) -> None:
    labels = blobs(*image)
    counts = pixel_counts(labels, patch_size, C)
    assert torch.equal(counts, slow_counts(labels, patch_size))
    assert counts.sum() == (labels != VOID).sum()


@pytest.mark.parametrize("purity", ["0.3", "0.5", "0.9", "1.0"])
@pytest.mark.parametrize(("image", "patch_size"), SHAPES)
def test_majority_labels_equal_voting_pixel_by_pixel(
    image: tuple[int, int], patch_size: tuple[int, int], purity: str
) -> None:
    for cell, void in MIXTURES:
        labels = blobs(*image, cell, void)
        found = majority_labels(pixel_counts(labels, patch_size, C), patch_size[0] * patch_size[1], float(purity))
        assert torch.equal(found, slow_majority(labels, patch_size, purity))


def test_the_blobs_above_tell_the_purities_apart() -> None:
    held = []
    for purity in ("0.3", "0.5", "0.9", "1.0"):
        found = [slow_majority(blobs(48, 48, cell, void), (8, 8), purity) for cell, void in MIXTURES]
        held.append(int((torch.stack(found) != VOID).sum()))
    assert 3 * 72 > held[0] > held[1] > held[2] > held[3] > 0


@pytest.mark.parametrize(("pixels", "label"), [(4, 3), (3, VOID)])
def test_a_class_that_holds_exactly_the_purity_is_enough(pixels: int, label: int) -> None:
    labels = torch.full((1, 2, 4), VOID)
    labels.view(-1)[:pixels] = 3
    assert majority_labels(pixel_counts(labels, (2, 4), C), 8, purity=0.5).item() == label


@pytest.mark.parametrize("order", [[4, 1, 2], [2, 4, 1], [1, 2, 4]])
def test_a_tie_goes_to_the_lowest_class(order: list[int]) -> None:
    labels = torch.tensor(order).repeat(2)[None, None]  # each class twice
    assert majority_labels(pixel_counts(labels, (1, 6), C), 6, purity=0.3).item() == 1


@pytest.mark.parametrize("ignore_index", [255, 4, -1])
def test_all_void_gives_no_counts_no_class_and_void_patches(ignore_index: int) -> None:
    labels = torch.full((2, 9, 10), ignore_index)
    counts = pixel_counts(labels, (4, 4), 4, ignore_index)
    assert counts.shape == (2, 3, 3, 4) and not counts.any()
    assert (majority_labels(counts, 16, 1e-6, ignore_index) == ignore_index).all()
    assert (dominant_class(class_amounts(counts), ignore_index) == ignore_index).all()


def test_an_image_is_of_the_class_of_most_of_its_pixels_whatever_patches_they_are_in() -> None:
    labels = blobs(30, 45)
    labels[0, 17, 11] = 4
    labels[1][labels[1] == 3] = VOID
    counters = [Counter(image.flatten().tolist()) for image in labels]
    amounts = class_amounts(pixel_counts(labels, (8, 8), C))
    assert amounts.tolist() == [[counter[c] for c in range(C)] for counter in counters]
    expected = [max(range(C), key=lambda c: (counter[c], -c)) for counter in counters]
    assert dominant_class(amounts).tolist() == expected
    assert dominant_class(torch.tensor([[0, 2, 2], [0, 0, 0], [1, 0, 0]])).tolist() == [1, VOID, 0]


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.int32])
def test_the_labels_may_be_of_any_integer_type(dtype: torch.dtype) -> None:
    labels = blobs(30, 45)
    assert torch.equal(pixel_counts(labels.to(dtype), (8, 8), C), pixel_counts(labels, (8, 8), C))


def test_limits_do_not_wrap_in_the_type_of_the_labels() -> None:
    labels = torch.tensor([[[3, 255]]], dtype=torch.uint8)
    for count in (256, 300):
        assert pixel_counts(labels, (1, 2), count, ignore_index=-1).nonzero()[:, -1].tolist() == [3, 255]
    with pytest.raises(ValueError, match=r"holds \[255\]"):
        pixel_counts(labels, (1, 2), 200, ignore_index=-1)


def test_unknown_labels_are_named() -> None:
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[0, 3, 3], labels[1, 0, 0], labels[1, 7, 7], labels[0, 0, 0] = 150, -3, C, VOID
    with pytest.raises(ValueError, match=r"holds \[-3, 5, 150\].*5 classes \(0 to 4\).*void is 255"):
        pixel_counts(labels, (4, 4), C)


class LargestTensor(TorchDispatchMode):
    """Keeps the number of elements of the largest tensor that any operation made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        self.numel = max([self.numel, *(leaf.numel() for leaf in tree_leaves(result) if isinstance(leaf, Tensor))])
        return result


def test_150_classes_never_become_a_one_hot_map_of_the_pixels() -> None:
    labels = torch.randint(150, (2, 512, 512))
    with LargestTensor() as largest:
        class_amounts(counts := pixel_counts(labels, (16, 16), 150))
        majority_labels(counts, 256)
    assert labels.numel() <= largest.numel <= 2 * labels.numel()  # the one-hot map has 150 times as many
    with largest:
        torch.nn.functional.one_hot(labels, 150)
    assert largest.numel == 150 * labels.numel()  # the counter does see such a map
