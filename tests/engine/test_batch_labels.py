"""Labels out of the data samples of mmseg, mmpretrain and mmdet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmseg.structures import SegDataSample

from davpt_seg.core.targets import Labelling
from davpt_seg.engine.batch_labels import batch_labels

LABELLING = Labelling((4, 4), num_classes=5)


def read(*samples: Any, labelling: Labelling = LABELLING) -> torch.Tensor:
    return batch_labels(torch.zeros(len(samples), 3, 8, 12), samples, labelling)


def of_pixels(label: int) -> SegDataSample:
    return SegDataSample(gt_sem_seg=PixelData(data=torch.full((1, 8, 12), label)))


def of_image(*labels: int) -> BaseDataElement:
    return BaseDataElement(gt_label=torch.tensor(labels), metainfo=dict(img_path="cat.jpg"))


def test_label_maps_are_stacked() -> None:
    assert torch.equal(read(of_pixels(3), of_pixels(1)), torch.tensor([3, 1])[:, None, None].expand(2, 8, 12))


def test_image_labels_tell_all_classes_of_each_image() -> None:
    expected = torch.zeros(3, 5, dtype=torch.bool)
    expected[0, 3] = expected[1, 0] = expected[1, 4] = True
    assert torch.equal(read(of_image(3), of_image(4, 0), of_image()), expected)


def test_mmpretrains_data_sample_is_understood() -> None:
    structures = pytest.importorskip("mmpretrain.structures")
    labels = read(*(structures.DataSample().set_gt_label(label) for label in (3, [1, 2])))
    assert labels.nonzero().tolist() == [[0, 3], [1, 1], [1, 2]]


@pytest.mark.parametrize("wrapped", [False, True], ids=["tensor", "box-type"])
def test_boxes_become_label_maps_of_the_inputs_size(wrapped: bool) -> None:
    def sample(boxes: list[list[float]], labels: list[int]) -> BaseDataElement:
        bboxes: Any = torch.tensor(boxes).reshape(-1, 4)
        instances = InstanceData(labels=torch.tensor(labels, dtype=torch.long))
        instances.set_field(bboxes, "bboxes")
        one = BaseDataElement(gt_instances=instances)
        if wrapped:  # mmdet's box types hold their tensor
            one = {"gt_instances": SimpleNamespace(bboxes=SimpleNamespace(tensor=bboxes), labels=instances.labels)}
            one = type("Sample", (dict,), {"gt_instances": property(lambda self: self["gt_instances"])})(one)
        return one

    labels = read(sample([[0, 0, 8, 8], [4, 4, 8, 8]], [2, 4]), sample([], []))
    expected = torch.full((2, 8, 12), 255)
    expected[0, :, :8] = 2
    expected[0, 4:, 4:8] = 4
    assert torch.equal(labels, expected)
    assert LABELLING(labels, 2, (2, 3)).patches.tolist() == [[2, 2, 255, 2, 4, 255], [255] * 6]


def test_label_maps_come_before_image_labels() -> None:
    both = of_pixels(3)
    both.set_field(torch.tensor([1]), "gt_label")
    assert read(both, both).shape == (2, 8, 12)


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        (
            [SegDataSample(metainfo=dict(img_path="a.jpg"))],
            r"gt_sem_seg .* gt_label .* gt_instances .* 'a\.jpg' has none",
        ),
        ([of_pixels(3), BaseDataElement()], r"data sample '' has none of them.* load annotations before it packs"),
        ([of_pixels(3), of_image(1)], r"its samples have \[\['gt_sem_seg'\], \['gt_label'\]\]"),
        ([], r"the batch has no data samples"),
        ([of_image(5)], r"'cat\.jpg' has gt_label \[5\], but guidance has num_classes 5 \(0 to 4\)"),
        ([of_image(-1)], r"'cat\.jpg' has gt_label \[-1\]"),
    ],
)
def test_missing_mixed_and_unknown_labels_are_refused(samples: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(*samples)
