"""Labels for guidance, from any kind of data samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import torch
from torch import Tensor

from ..core.guidance.targets import Labelling
from ..errors import InputError
from .instance_labels import instance_labels

FIELDS = ("gt_sem_seg", "gt_score", "gt_label", "gt_instances")
MAJORITY = 0.5  # an image has a class whose gt_score is above this


def batch_labels(inputs: Tensor, data_samples: Optional[Sequence[Any]], labelling: Labelling) -> Tensor:
    """Return the labels of a batch, of the first of these kinds that all its data samples have.

    - ``gt_sem_seg``: label maps of mmseg's ``SegDataSample``.
    - ``gt_score``: share of each class in an image of mmpretrain's ``DataSample``. Mixup, CutMix and ResizeMix write
      the shares of a mixed image there and do not change ``gt_label``. An image has the classes with a share of more
      than half: the larger part of a mixture, no class of an even one, all classes of a multi-label image, and the
      class of a smoothed label.
    - ``gt_label``: class, or classes, of each image, if there are no scores.
    - ``gt_instances``: ``labels`` and ``masks``, or else ``bboxes``, of mmdet's ``DetDataSample``, painted into label
      maps, small instances over large ones. Crowds and pixels outside all instances are void.

    Args:
        inputs: images as the model takes them, (B, 3, H, W).
        data_samples: one data sample per image.
        labelling: number of classes and label of void.

    Returns:
        Label maps (B, H, W), integers, or the classes of each image (B, C), bool.

    Raises:
        ValueError: samples without labels, with labels of different kinds, or with unknown classes.
    """
    field = next((name for name in FIELDS if all(name in sample for sample in data_samples or ())), None)
    if not data_samples or field is None:
        lacking = next((sample for sample in data_samples or () if not any(name in sample for name in FIELDS)), None)
        raise InputError(
            "metric guidance needs labels: gt_sem_seg (label maps), gt_label or gt_score (classes of the image) or "
            "gt_instances (boxes or masks), the same for all samples of a batch, but "
            + ("the batch has no data samples" if not data_samples else _found(lacking, data_samples))
            + "; does the training pipeline load annotations before it packs its inputs?"
        )
    if field == "gt_sem_seg":
        return torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples])
    if field == "gt_score":
        return torch.stack([_scored_classes(sample, labelling.num_classes) for sample in data_samples])
    if field == "gt_label":
        return torch.stack([_classes(sample, labelling.num_classes) for sample in data_samples])
    size = (inputs.shape[2], inputs.shape[3])
    return torch.stack([instance_labels(sample, size, labelling.ignore_index) for sample in data_samples])


def _found(lacking: Any, data_samples: Sequence[Any]) -> str:
    if lacking is None:
        return f"its samples have {[[name for name in FIELDS if name in sample] for sample in data_samples]}"
    return f"data sample {lacking.get('img_path', '')!r} has none of them"


def _scored_classes(sample: Any, num_classes: int) -> Tensor:
    if sample.gt_score.shape != (num_classes,):
        raise InputError(
            f"data sample {sample.get('img_path', '')!r} has gt_score of shape {tuple(sample.gt_score.shape)}, but "
            f"guidance has num_classes {num_classes}; set the same number of classes in the data preprocessor, the "
            "head and guidance"
        )
    return sample.gt_score > MAJORITY


def _classes(sample: Any, num_classes: int) -> Tensor:
    index = sample.gt_label.long()
    if ((index < 0) | (index >= num_classes)).any():
        raise InputError(
            f"data sample {sample.get('img_path', '')!r} has gt_label {index.tolist()}, but guidance has num_classes "
            f"{num_classes} (0 to {num_classes - 1})"
        )
    return torch.zeros(num_classes, dtype=torch.bool, device=index.device).scatter(0, index, True)
