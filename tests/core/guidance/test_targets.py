"""Targets of patches and images, from label maps, from image labels and from boxes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from davpt_seg.core.guidance.boxes import paint_boxes, paint_masks
from davpt_seg.core.guidance.targets import Labelling

VOID = 255
PATCH, GRID = (4, 4), (2, 3)


def maps() -> torch.Tensor:
    """Two images of 8 x 12 pixels: 56 of class 3, 24 of 1 and 16 void; and nothing but void."""
    pixels = torch.full((2, 8, 12), VOID)
    pixels[0, :, :7], pixels[0, :, 7:10] = 3, 1
    return pixels


def test_patch_labels_are_of_each_patch_and_all_classes_are_present() -> None:
    patches, present = Labelling(PATCH, 5)(maps(), 2, GRID)
    assert patches.tolist() == [[3, 3, 1, 3, 3, 1], [VOID] * 6]
    assert present.nonzero().tolist() == [[0, 1], [0, 3]]


def test_image_labels_collapse_an_image_to_the_class_it_holds_most_of() -> None:
    pixels = maps()
    patches, present = Labelling(PATCH, 5, labels="image")(pixels, 2, GRID)
    (most, _), *_ = Counter(pixels[0][pixels[0] != VOID].tolist()).most_common()
    assert patches.tolist() == [[most] * 6, [VOID] * 6]
    assert present.nonzero().tolist() == [[0, most]]


def test_a_labelled_image_lends_its_patches_its_one_class_but_not_several() -> None:
    classes = torch.zeros(4, 5, dtype=torch.bool)
    classes[0, 2] = classes[1, 1] = classes[1, 4] = classes[3, 0] = True  # the third has none
    patches, present = Labelling(PATCH, 5)(classes, 4, GRID)
    assert patches.tolist() == [[2] * 6, [VOID] * 6, [VOID] * 6, [0] * 6]
    assert torch.equal(present, classes)
    patches, present = Labelling(PATCH, 5, labels="image")(classes, 4, GRID)
    assert patches[:, 0].tolist() == [2, 1, VOID, 0]  # of equals, the lowest
    assert present.nonzero().tolist() == [[0, 2], [1, 1], [3, 0]]


def test_a_labelled_image_and_a_map_full_of_its_class_are_the_same() -> None:
    classes = torch.eye(5, dtype=torch.bool)[[3, 0]]
    pixels = torch.tensor([3, 0])[:, None, None].expand(2, 8, 12)
    for labels in ("patch", "image"):
        labelling = Labelling(PATCH, 5, labels=labels)
        for one, other in zip(labelling(classes, 2, GRID), labelling(pixels, 2, GRID)):
            assert torch.equal(one, other)


@pytest.mark.parametrize("shape", [(3, 5), (2, 4)])
def test_image_labels_of_another_shape_are_refused(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"image labels are .* 2 images and 5 classes need \(2, 5\)"):
        Labelling(PATCH, 5)(torch.zeros(shape, dtype=torch.bool), 2, GRID)


def slow_paint(boxes: list[list[float]], labels: list[int], size: tuple[int, int]) -> list[list[int]]:
    """Each pixel takes the label of the smallest box that its centre is in."""

    def label(y: float, x: float) -> int:
        around = [
            ((right - left) * (bottom - top), label)
            for (left, top, right, bottom), label in zip(boxes, labels)
            if left <= x < right and top <= y < bottom
        ]
        return min(around)[1] if around else VOID

    return [[label(y + 0.5, x + 0.5) for x in range(size[1])] for y in range(size[0])]


def test_small_boxes_win_over_large_ones_and_what_is_in_none_is_void() -> None:
    torch.manual_seed(0)
    corners = 14 * torch.rand(12, 2, 2)
    boxes = torch.cat([corners.amin(1), corners.amax(1)], dim=1)  # some stick out
    labels = torch.randint(5, (12,), dtype=torch.int32)
    painted = paint_boxes(boxes, labels, (9, 12))
    assert painted.tolist() == slow_paint(boxes.tolist(), labels.tolist(), (9, 12))
    assert len(painted.unique()) > 3 and (painted == VOID).any()
    assert (paint_boxes(torch.zeros(0, 4), labels[:0], (3, 4)) == VOID).all()


def test_boxes_that_do_not_go_with_their_labels_are_refused() -> None:
    with pytest.raises(ValueError, match=r"boxes \(2, 4\) with 3 labels"):
        paint_boxes(torch.zeros(2, 4), torch.zeros(3), (4, 4))


def slow_masks(masks: list[list[list[bool]]], labels: list[int], size: tuple[int, int]) -> list[list[int]]:
    """Each pixel takes the label of the smallest mask that holds it."""
    areas = [sum(map(sum, mask)) for mask in masks]

    def label(y: int, x: int) -> int:
        around = [
            (area, label)
            for area, mask, label in zip(areas, masks, labels)
            if y < len(mask) and x < len(mask[0]) and mask[y][x]
        ]
        return min(around)[1] if around else VOID

    return [[label(y, x) for x in range(size[1])] for y in range(size[0])]


def test_small_masks_win_over_large_ones_and_padding_is_void() -> None:
    torch.manual_seed(0)
    masks = torch.rand(6, 7, 10) < torch.linspace(0.05, 0.8, 6)[torch.randperm(6), None, None]
    assert len(masks.flatten(1).sum(dim=1).unique()) == 6  # equal areas have no order
    labels = torch.randint(5, (6,), dtype=torch.int32)
    painted = paint_masks(masks, labels, (9, 12))
    assert painted.tolist() == slow_masks(masks.tolist(), labels.tolist(), (9, 12))
    assert len(painted[:7, :10].unique()) > 3 and (painted[7:] == VOID).all() and (painted[:, 10:] == VOID).all()
    assert (paint_masks(masks[:0], labels[:0], (9, 12)) == VOID).all()


def test_masks_of_boxes_give_the_labels_of_boxes() -> None:
    boxes = torch.tensor([[0, 0, 9, 7], [2, 1, 6, 5], [4, 4, 5, 6]]).float()
    masks = torch.zeros(3, 8, 10, dtype=torch.bool)
    for mask, (left, top, right, bottom) in zip(masks, boxes.int().tolist()):
        mask[top:bottom, left:right] = True
    labels = torch.tensor([3, 1, 2])
    assert torch.equal(paint_masks(masks, labels, (8, 10)), paint_boxes(boxes, labels, (8, 10)))


@pytest.mark.parametrize(("shape", "labels"), [((2, 4, 4), 3), ((2, 5, 4), 2), ((2, 4, 5), 2), ((4, 4), 4)])
def test_masks_that_do_not_go_with_their_labels_or_image_are_refused(shape: tuple[int, ...], labels: int) -> None:
    with pytest.raises(ValueError, match=rf"masks \({shape[0]}, .* with {labels} labels in an image of 4 x 4"):
        paint_masks(torch.zeros(shape, dtype=torch.bool), torch.zeros(labels), (4, 4))
