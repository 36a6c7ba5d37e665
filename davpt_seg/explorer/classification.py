"""A classifier of the explorer."""

from __future__ import annotations

from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import init_default_scope

from ..apis.adapters import OpenedAdapter
from ..apis.open_trained import image_steps, test_steps
from ..apis.pixels import ImageReader
from ..datasets.pipelines import step_name
from ..errors import InputError
from ..training.refusals import step
from ..training.trained_model import TrainedModel
from ..visualization.class_colours import colours_of
from .prediction import Prediction

#: Steps after which an image still has the same extent.
RESIZING = {"LoadImageFromFile", "ToEightBit", "Resize", "ResizeEdge", "PackInputs"}
PREDICTS = "model, test_dataloader.dataset.pipeline"


class Classification:
    """A trained classifier. Where its test pipeline cuts or pads images, its result is shown instead of the image.

    Args:
        trained: checkpoint or adapter folder, opened.
        device: as torch names it; by default the accelerator if there is one.

    Attributes:
        model: the classifier.
        reader: reader of images.
        classes: C names.
        palette: colours, (C, 3) uint8.

    Raises:
        InputError: a model or a test pipeline that cannot be built, or one that normalises images itself.
    """

    def __init__(self, trained: Union[OpenedAdapter, TrainedModel], device: Optional[str]) -> None:
        self.model: Any = trained.build().to(device or get_device())
        self._origin = trained.origin
        init_default_scope("mmpretrain")
        steps = test_steps(trained.cfg)
        with step(f"the test pipeline of {self._origin} cannot be built (test_dataloader.dataset.pipeline)"):
            self._pipeline = Compose(image_steps(steps)[1:])
        self.reader = ImageReader(steps)
        self._only_resizes = {step_name(each) for each in steps} <= RESIZING
        meta: Any = (trained.content.get("meta") or {}).get("dataset_meta") or {}
        names = [str(name) for name in meta.get("classes") or ()]
        count = getattr(self.model.head, "num_classes", len(names))
        self.classes = names if len(names) == count else [f"class {index}" for index in range(count)]
        self.palette = colours_of(meta.get("palette"), count)

    def predict(self, pixels: np.ndarray) -> Prediction:
        """Predict BGR pixels (h, w, 3) uint8.

        Raises:
            InputError: the config describes a model or test pipeline that fails.
        """
        size = pixels.shape[:2]
        with step(f"{self._origin} does not predict this image ({PREDICTS})"), torch.no_grad():
            data = self._pipeline(dict(img=pixels, img_shape=size, ori_shape=size))
            (sample,) = self.model.test_step(pseudo_collate([data]))
        inputs = data["inputs"]
        if not self._only_resizes and inputs.dtype != torch.uint8:
            raise InputError(
                f"{self._origin}: the test pipeline returns {inputs.dtype} and not 8-bit pixels, so the part of the "
                "image that the model sees cannot be shown; normalise by data_preprocessor"
            )
        probabilities = sample.pred_score.float().cpu()
        shown = pixels if self._only_resizes else inputs.permute(1, 2, 0).contiguous().numpy()
        return Prediction(shown, None, probabilities, data, (inputs.shape[1], inputs.shape[2]))
