"""Labels out of the data samples of mmseg, mmpretrain and mmdet."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from mmengine.structures import BaseDataElement, InstanceData, PixelData
from mmseg.structures import SegDataSample

from davpt_seg.core.guidance.targets import Labelling
from davpt_seg.engine.batch_labels import batch_labels
from davpt_seg.engine.keyed_random import seed_everything

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


def of_score(*scores: float) -> BaseDataElement:
    label = torch.tensor([0])  # of the image before it was mixed
    return BaseDataElement(gt_label=label, gt_score=torch.tensor(scores), metainfo=dict(img_path="cat.jpg"))


@pytest.mark.parametrize(
    ("scores", "classes"),
    [
        ((0.7, 0.3, 0, 0, 0), [0]),
        ((0.3, 0.7, 0, 0, 0), [1]),
        ((0.5, 0.5, 0, 0, 0), []),  # nothing tells which
        ((0.4, 0.3, 0.3, 0, 0), []),
        ((0.02, 0.02, 0.92, 0.02, 0.02), [2]),  # a smoothed label
        ((1, 0, 1, 1, 0), [0, 2, 3]),  # several labels
        ((0.8, 0, 1, 0.2, 0), [0, 2]),  # the mixture of two such images that both have class 2
        ((0.95, 0.05, 0.95, 0.05, 0.05), [0, 2]),
    ],
)
def test_scores_give_an_image_the_classes_of_its_larger_part(scores: tuple[float, ...], classes: list[int]) -> None:
    assert read(of_score(*scores))[0].nonzero().flatten().tolist() == classes


def test_scores_without_a_class_label_are_labels_too() -> None:
    sample = BaseDataElement(gt_score=torch.tensor([0.1, 0.0, 0.0, 0.9, 0.0]))
    assert read(sample).tolist() == [[False, False, False, True, False]]


AUGMENTATIONS = [
    [dict(type="Mixup", alpha=1.0)],
    [dict(type="CutMix", alpha=1.0)],
    [dict(type="ResizeMix", alpha=1.0)],
    [dict(type="Mixup", alpha=0.8), dict(type="CutMix", alpha=1.0)],
]


@pytest.mark.parametrize("augments", AUGMENTATIONS, ids=lambda each: "+".join(one["type"] for one in each))
def test_a_mixed_image_is_guided_by_the_class_that_most_of_its_pixels_are_of(augments: list[dict[str, Any]]) -> None:
    """Channel c of an image of class c is 1, so that mixed pixels tell the share of each class."""
    models = pytest.importorskip("mmpretrain.models")
    structures = pytest.importorskip("mmpretrain.structures")
    seed_everything(0, devices=False)
    preprocessor = models.ClsDataPreprocessor(num_classes=3, batch_augments=dict(augments=augments))
    labelling = Labelling((4, 4), num_classes=3)
    followed = moved = 0
    for _ in range(40):
        truth = torch.randint(3, (8,))
        images = torch.eye(3)[truth][:, :, None, None].expand(-1, -1, 16, 16).clone()
        samples = [structures.DataSample().set_gt_label(label) for label in truth]
        data = preprocessor(dict(inputs=images, data_samples=samples), training=True)
        shares = data["inputs"].mean(dim=(2, 3))  # (B, C)
        labels = batch_labels(data["inputs"], data["data_samples"], labelling)
        clear = (shares.amax(dim=1) - 0.5).abs() > 0.01
        assert torch.equal(labels[clear], shares[clear] > 0.5)
        followed += int(labels.any(dim=1).sum())
        moved += int((labels.any(dim=1) & ~labels.gather(1, truth[:, None])[:, 0]).sum())
    assert followed > 300
    assert moved > 0  # their gt_label names the smaller part


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
            r"gt_sem_seg .* gt_label or gt_score .* gt_instances .* 'a\.jpg' has none",
        ),
        ([of_pixels(3), BaseDataElement()], r"data sample '' has none of them.* load annotations before it packs"),
        ([of_pixels(3), of_image(1)], r"its samples have \[\['gt_sem_seg'\], \['gt_label'\]\]"),
        ([], r"the batch has no data samples"),
        ([of_image(5)], r"'cat\.jpg' has gt_label \[5\], but guidance has num_classes 5 \(0 to 4\)"),
        ([of_image(-1)], r"'cat\.jpg' has gt_label \[-1\]"),
        ([of_score(0, 1, 0)], r"'cat\.jpg' has gt_score of shape \(3,\), but guidance has num_classes 5"),
    ],
)
def test_missing_mixed_and_unknown_labels_are_refused(samples: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(*samples)
