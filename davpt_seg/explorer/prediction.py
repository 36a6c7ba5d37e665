"""What a model predicts in an image, before attention is asked for."""

from __future__ import annotations

from typing import Any, NamedTuple, Optional

import numpy as np
import torch
from torch import Tensor

from .images import MAX_LOOKED, reduced


class Prediction(NamedTuple):
    """Prediction of one image.

    Attributes:
        pixels: image as shown, (h, w, 3) uint8 BGR.
        labels: class of every pixel, (h, w) int64; None for a classifier.
        probabilities: of the classes of every pixel, (C, h, w) float32; of the image, (C,), for a classifier.
        data: the same image as the test pipeline returns it: ``inputs`` (3, h', w') and ``data_samples``.
        extent: height and width of the inputs without padding.
    """

    pixels: np.ndarray
    labels: Optional[np.ndarray]
    probabilities: Tensor
    data: dict[str, Any]
    extent: tuple[int, int]


def normalised(model: Any, prediction: Prediction, patch: tuple[int, int]) -> Tensor:
    """Return an image as a ViT takes it, (1, 3, h, w) float32 on the CPU, at most ``MAX_LOOKED`` on the longer side.

    Args:
        model: segmentor or classifier, whose ``data_preprocessor`` normalises.
        prediction: prediction of the image.
        patch: height and width of a patch; an image that is reduced fills patches on its longer side.
    """
    height, width = prediction.extent
    pixels = prediction.data["inputs"][:, :height, :width].permute(1, 2, 0).contiguous().numpy()
    if max(height, width) > MAX_LOOKED:
        pixels = reduced(pixels, MAX_LOOKED // max(patch) * max(patch))
    image = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))
    data = dict(inputs=[image], data_samples=[prediction.data["data_samples"]])
    with torch.no_grad():
        found = model.data_preprocessor(data, False)["inputs"]
    return found[..., : image.shape[1], : image.shape[2]].float().cpu()
