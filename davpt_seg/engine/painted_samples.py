"""Predicted samples of OpenMMLab as rows of a figure, and figures as pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from mmengine.dataset import Compose

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..visualization.predictions import Painted


class ImageReader:
    """Reader of the images of predicted samples.

    Args:
        loading: steps of the pipeline that read an image; by default ``LoadImageFromFile``.
    """

    def __init__(self, loading: Sequence[Any] = ()) -> None:
        self._load = Compose(list(loading) or [dict(type="LoadImageFromFile")])

    def __call__(self, path: str) -> np.ndarray:
        """Return the RGB pixels (H, W, 3) uint8 of an image file."""
        return self._load(dict(img_path=path))["img"][..., ::-1].clip(0, 255).astype(np.uint8)

    def painted(self, sample: Any) -> Painted:
        """Return the image, prediction and, if known, truth of a segmentor's sample."""
        from ..visualization.predictions import Painted

        truth = _labels(sample, "gt_sem_seg") if "gt_sem_seg" in sample else None
        return Painted(self(sample.img_path), _labels(sample, "pred_sem_seg"), truth)


def _labels(sample: Any, key: str) -> np.ndarray:
    return sample.get(key).data.squeeze(0).cpu().numpy()


def pixels_of(figure: Figure) -> np.ndarray:
    """Draw a figure, and return its pixels (H, W, 3) uint8."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
