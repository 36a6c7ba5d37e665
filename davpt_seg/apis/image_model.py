"""Trained model that predicts single images by the steps of its test pipeline."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.model import BaseModel
from mmengine.registry import init_default_scope

from ..audit.data_check import DataCheck, read_as_stored
from ..core.adapter_folder.backbone import TrunkSource
from ..experiments.options import put_options
from ..training.refusals import step
from ..training.tasks import SEGMENTATION, refuse_other
from ..training.trained_model import TrainedModel
from .adapters import OpenedAdapter
from .open_trained import check_device, image_steps, opened, test_steps
from .pixels import ImageInput, ImageReader

PREDICTS = "model, test_dataloader.dataset.pipeline"


class ImageModel:
    """A trained model and its test pipeline; what predictors of all tasks share.

    Args:
        checkpoint: see :class:`~davpt_seg.apis.Predictor`.
        config: see there.
        device: see there.
        options: see there.
        trust_config: see there.
        trunk: see there.

    Attributes:
        task: task whose models are taken.
        memory_advice: what to do where a GPU's memory is too small for an image.
        origin: where the config is from, for messages.
        model: the model, on its device.
        steps: the test pipeline, a dict a transform.
        reader: reader of images.

    Raises:
        InputError: see there.
    """

    task = SEGMENTATION
    memory_advice = ""

    def __init__(
        self,
        checkpoint: Union[str, os.PathLike[str], OpenedAdapter, TrainedModel],
        config: Optional[Union[str, os.PathLike[str], Config]] = None,
        device: Optional[str] = None,
        options: Optional[Mapping[str, Any]] = None,
        trust_config: bool = False,
        trunk: TrunkSource = None,
    ) -> None:
        check_device(device)
        trained = checkpoint
        if not isinstance(trained, (OpenedAdapter, TrainedModel)):
            trained = opened(trained, config, trunk, trust_config, (self.task,))
        refuse_other(trained.task, (self.task,), trained.path)
        cfg = trained.cfg
        self.origin = trained.origin
        self.use_classes(trained.content, trained.path)
        put_options(cfg, options or {})
        if DataCheck.from_config(cfg).exif == "stored":  # as train.py and test.py do
            read_as_stored(cfg)
        self.change(cfg)
        model: Any = trained.build().to(device or get_device())
        self.model: Any = self.wrapped(model, cfg)
        init_default_scope(cfg.get("default_scope") or "mmseg")
        self.steps = steps = test_steps(cfg)
        with step(f"the test pipeline of {trained.origin} cannot be built (test_dataloader.dataset.pipeline)"):
            self.pipeline = Compose(image_steps(steps))
        self.reader = ImageReader(steps)

    def use_classes(self, content: Mapping[str, Any], path: str) -> None:
        """Take names and colours of the classes from what a checkpoint or folder holds."""
        raise NotImplementedError

    def change(self, cfg: Config) -> None:
        """Change the config before the model is built."""

    def wrapped(self, model: BaseModel, cfg: Config) -> BaseModel:
        """Return what predicts with the model."""
        return model

    def read(self, image: ImageInput) -> np.ndarray:
        """Return BGR pixels (H, W, 3) uint8 of one image, as the model takes them.

        Raises:
            InputError: as of a call.
        """
        return self.reader(image)

    @torch.no_grad()
    def sample(self, pixels: np.ndarray) -> Any:
        """Return OpenMMLab's prediction, a data sample, of what ``read`` returned.

        Raises:
            InputError: the config describes a model or test pipeline that fails, or the GPU's memory is too small.
        """
        with step(f"{self.origin} does not predict this image ({PREDICTS})", self.memory_advice):
            (sample,) = self.model.test_step(pseudo_collate([self.pipeline(dict(img=pixels))]))
            return sample
