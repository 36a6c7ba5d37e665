"""Detected objects of an image: boxes, scores, classes and, of instance segmentation, masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np
import torch

THRESHOLD = 0.3  # lowest score that is drawn by default


@dataclass(frozen=True)
class Detections:
    """Objects that a detector found in an image, the highest score first.

    Attributes:
        boxes: left, top, right and bottom edges in pixels of the image as given, (n, 4) float32.
        scores: scores in 0..1, (n,) float32.
        labels: classes, (n,) int64.
        masks: pixels of each object, (n, H, W) bool; None of a detector without masks.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray
    masks: Optional[np.ndarray] = None

    def __len__(self) -> int:
        """Return the number of objects."""
        return len(self.scores)

    def above(self, threshold: float) -> Detections:
        """Return the objects whose score is at least a threshold."""
        kept = self.scores >= threshold
        masks = None if self.masks is None else self.masks[kept]
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept], masks)

    def coco(self, image_id: int, categories: Sequence[int]) -> list[dict[str, Any]]:
        """Return the objects as COCO's results, which ``pycocotools.coco.COCO.loadRes`` reads.

        Args:
            image_id: the image's id in the annotations.
            categories: ids of the C classes in the annotations.

        Returns:
            A dict for each object: ``image_id``, ``category_id``, ``bbox`` (left, top, width, height), ``score`` and,
            with masks, ``segmentation`` in run-length encoding.
        """
        rows = []
        for i, (label, score) in enumerate(zip(self.labels.tolist(), self.scores.tolist())):
            left, top, right, bottom = self.boxes[i].tolist()
            box = [left, top, right - left, bottom - top]
            row = dict(image_id=image_id, category_id=categories[label], bbox=box, score=score)
            if self.masks is not None:
                row["segmentation"] = _encoded(self.masks[i])
            rows.append(row)
        return rows


class Detected(NamedTuple):
    """Objects found in an image, to draw.

    Attributes:
        image: RGB image, (H, W, 3) uint8.
        found: objects whose score is high enough, the highest first.
        highest: highest score of all objects; None if there are none.
        truth: true objects, with scores of 1; None if they are unknown.
    """

    image: np.ndarray
    found: Detections
    highest: Optional[float]
    truth: Optional[Detections]

    @classmethod
    def of(cls, image: np.ndarray, sample: Any, threshold: float) -> Detected:
        """Return what a ``DetDataSample`` of mmdet holds; objects below a score are dropped with their masks."""
        scores = sample.pred_instances.scores
        found = detections_of(sample.pred_instances[scores >= threshold])
        known = "bboxes" in sample.get("gt_instances", ())  # it is there and empty where annotations are not loaded
        truth = true_objects(sample, masks=found.masks is not None) if known else None
        return cls(image, found, float(scores.max()) if len(scores) else None, truth)


def detections_of(found: Any) -> Detections:
    """Return the objects that mmdet found: ``pred_instances`` of a ``DetDataSample``."""
    order = found.scores.sort(descending=True, stable=True).indices
    masks = found.masks[order].bool().cpu().numpy() if "masks" in found else None
    return Detections(
        _boxes(found)[order].float().cpu().numpy(),
        found.scores[order].float().cpu().numpy(),
        found.labels[order].long().cpu().numpy(),
        masks,
    )


def true_objects(sample: Any, masks: bool) -> Detections:
    """Return the true objects of a ``DetDataSample``, with scores of 1; crowds are omitted.

    Args:
        sample: a sample whose pipeline loads annotations after it resizes the image, as mmdet's do: the objects are in
            pixels of the image as given.
        masks: whether to return masks, where there are any.
    """
    true = sample.gt_instances
    return Detections(
        _boxes(true).float().cpu().numpy(),
        np.ones(len(true.labels), np.float32),
        true.labels.long().cpu().numpy(),
        true.masks.to_tensor(torch.bool, "cpu").numpy() if masks and "masks" in true else None,
    )


def _boxes(instances: Any) -> torch.Tensor:
    return getattr(instances.bboxes, "tensor", instances.bboxes)  # box types of mmdet hold the tensor there


def _encoded(mask: np.ndarray) -> dict[str, Any]:
    """Return the run-length encoding of a mask (H, W) with text, as JSON needs it."""
    from pycocotools import mask as encoding

    encoded = encoding.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=list(encoded["size"]), counts=encoded["counts"].decode())
