"""A segmentor of the explorer."""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np
import torch
from torch import Tensor

from ..apis.adapters import OpenedAdapter
from ..apis.predictor import Predictor, labels_of
from ..training.trained_model import TrainedModel
from .prediction import Prediction


class Segmentation:
    """A trained segmentor.

    Args:
        trained: checkpoint or adapter folder, opened.
        device: as :class:`~davpt_seg.apis.Predictor` takes it.

    Attributes:
        model: the segmentor.
        reader: reader of images.
        classes: C names.
        palette: their colours, (C, 3) uint8.

    Raises:
        InputError: as :class:`~davpt_seg.apis.Predictor`.
    """

    def __init__(self, trained: Union[OpenedAdapter, TrainedModel], device: Optional[str]) -> None:
        self._predictor = Predictor(trained, device=device)
        self.model: Any = self._predictor.model
        self.reader = self._predictor.reader
        self.classes, self.palette = list(self._predictor.classes), self._predictor.palette

    def predict(self, pixels: np.ndarray) -> Prediction:
        """Predict BGR pixels (h, w, 3) uint8.

        Raises:
            InputError: as :meth:`Predictor.label`.
        """
        sample = self._predictor.sample(pixels)
        probabilities = _softmax(sample.seg_logits.data.float())
        data = self._predictor.pipeline(dict(img=pixels))
        across, down = data["data_samples"].metainfo.get("scale_factor", (1.0, 1.0))
        extent = max(1, round(pixels.shape[0] * down)), max(1, round(pixels.shape[1] * across))
        return Prediction(pixels, labels_of(sample), probabilities.cpu(), data, extent)


def _softmax(logits: Tensor) -> Tensor:
    """Turn logits (C, h, w) into probabilities, in place, for they are the largest tensor here.

    Those of a head with one output, (1, h, w), are of the second of two classes.
    """
    if len(logits) == 1:
        second = logits.sigmoid()
        return torch.cat([1 - second, second])
    logits.sub_(logits.amax(dim=0)).exp_()
    return logits.div_(logits.sum(dim=0))
