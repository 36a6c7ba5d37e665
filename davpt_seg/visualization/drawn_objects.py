"""Boxes of objects with their names and scores, drawn by MMDetection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from mmengine.structures import InstanceData

WIDE = 448  # pixels; smaller images are enlarged to this width, so that names are legible


def drawn_objects(
    image: np.ndarray, found: InstanceData, classes: Sequence[str], palette: np.ndarray, width: int = WIDE
) -> np.ndarray:
    """Return an image with boxes, names and, if there are any, scores in percent.

    Args:
        image: RGB, (H, W, 3) uint8.
        found: ``bboxes`` (N, 4) in pixels of the image, ``labels`` (N,), and ``scores`` (N,) of predictions.
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        width: smallest width of the result in pixels.
    """
    from mmdet.visualization import DetLocalVisualizer
    from mmengine.structures import InstanceData

    scale = max(1, -(-width // image.shape[1]))
    large = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    boxes = getattr(found.bboxes, "tensor", found.bboxes)  # box types of mmdet hold the tensor there
    scores = {"scores": found.scores.cpu()} if "scores" in found else {}
    drawn = InstanceData(bboxes=boxes.float().cpu() * scale, labels=found.labels.cpu(), **scores)
    visualizer = DetLocalVisualizer(text_color=(255, 255, 255), line_width=2)
    return visualizer._draw_instances(large, drawn, list(classes), [tuple(map(int, colour)) for colour in palette])
