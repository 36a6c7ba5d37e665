"""Detected objects of an image: boxes, scores, classes and, of instance segmentation, masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np


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


def detections_of(sample: Any) -> Detections:
    """Return the objects of mmdet's prediction, a ``DetDataSample``."""
    found = sample.pred_instances
    order = found.scores.sort(descending=True, stable=True).indices
    boxes = getattr(found.bboxes, "tensor", found.bboxes)  # box types of mmdet hold the tensor there
    masks = found.masks[order].bool().cpu().numpy() if "masks" in found else None
    return Detections(
        boxes[order].float().cpu().numpy(),
        found.scores[order].float().cpu().numpy(),
        found.labels[order].long().cpu().numpy(),
        masks,
    )


def _encoded(mask: np.ndarray) -> dict[str, Any]:
    """Return the run-length encoding of a mask (H, W) with text, as JSON needs it."""
    from pycocotools import mask as encoding

    encoded = encoding.encode(np.asfortranarray(mask, dtype=np.uint8))
    return dict(size=list(encoded["size"]), counts=encoded["counts"].decode())
