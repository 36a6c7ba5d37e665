"""Predict images from Python with a checkpoint, and without its data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional, Union, overload

import numpy as np
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from mmseg.structures import SegDataSample

from ..core.adapter_folder.backbone import TrunkSource
from ..training.refusals import step
from ..training.testing import set_mode, use_tta
from ..training.trained_checkpoint import class_names_and_colours
from ..training.trained_model import TrainedModel
from .adapters import OpenedAdapter
from .image_model import ImageModel
from .pixels import ImageInput, Images, each

WINDOWS = "predict by windows (mode='slide')"  # where memory is too small


class Predictor(ImageModel):
    """A trained segmentor, ready for images.

    >>> predictor = Predictor("work_dirs/davpt/linear_vits14_camvid/epoch_15.pth")
    >>> labels = predictor("street.jpg")  # (H, W)
    >>> predictor.classes[labels[0, 0]]
    'sky'

    Args:
        checkpoint: a ``.pth`` file that ``tools/train.py`` wrote, or an adapter folder (a path, or ``hub:USER/NAME``);
            loaded strictly. Or what :func:`~davpt_seg.apis.open_trained.opened` returned, which needs no ``config``,
            ``trunk`` or ``trust_config``.
        config: what was trained: a file, a name or words, as on the command line, or a ``Config``, which is changed in
            place; by default what the checkpoint remembers.
        mode: ``slide`` or ``whole``; by default the config's.
        tta: average the softmax over the scales and flips of the config's ``tta_pipeline``.
        device: torch's name of a device; by default the accelerator if there is one.
        options: changes of the config, dotted keys to values.
        trust_config: run the config inside the checkpoint as Python and import what it names, instead of refusing what
            is more than registered classes and plain values. Only for checkpoints whose maker you trust.
        trunk: for a checkpoint that was saved without its frozen ViT, the ViT's weights file, or ``pretrained`` for
            timm's own weights; by default what the config names. Other weights than those of the training are refused.

    Attributes:
        classes: C names.
        palette: their colours, (C, 3) uint8.
        steps: the test pipeline, a dict a transform.

    Raises:
        InputError: a config or checkpoint that cannot be read, a checkpoint that is not of the config, an option that
            the config rules out, or a device that torch does not know or find.
    """

    memory_advice = WINDOWS

    def __init__(
        self,
        checkpoint: Union[str, os.PathLike[str], OpenedAdapter, TrainedModel],
        config: Optional[Union[str, os.PathLike[str], Config]] = None,
        mode: Optional[str] = None,
        tta: bool = False,
        device: Optional[str] = None,
        options: Optional[Mapping[str, Any]] = None,
        trust_config: bool = False,
        trunk: TrunkSource = None,
    ) -> None:
        self._tta, self._mode = tta, mode
        super().__init__(checkpoint, config, device, options, trust_config, trunk)

    def use_classes(self, content: Mapping[str, Any], path: str) -> None:
        """Take names and colours of the classes."""
        self.classes, self.palette = class_names_and_colours(content, path)

    def change(self, cfg: Config) -> None:
        """Set the mode."""
        if self._mode:
            set_mode(cfg, self._mode)

    def wrapped(self, model: BaseModel, cfg: Config) -> BaseModel:
        """Return the model inside of its test-time augmentation."""
        if not self._tta:
            return model
        use_tta(cfg)
        with step(f"the test-time augmentation of {self.origin} cannot be built (tta_model)"):
            return MODELS.build(dict(cfg.tta_model, module=model)).eval()

    @overload
    def __call__(self, image: ImageInput) -> np.ndarray: ...
    @overload
    def __call__(self, image: Images) -> list[np.ndarray]: ...
    def __call__(self, image: Union[ImageInput, Images]) -> Union[np.ndarray, list[np.ndarray]]:
        """Return the class of every pixel, (H, W), or a list of such arrays for a list of images.

        Args:
            image: one of these, or a list or tuple of them, which are predicted one after the other:

                * a file, as a text or a path. It is read as in tests: in colours, turned as its Exif orientation says.
                * a PIL image of 8 bits (modes 1, L, LA, P, PA, RGB, RGBA, RGBX). It is read as its file would be:
                  colours of a palette, gray as three equal channels, without alpha, turned as its Exif orientation
                  says. Pillow and OpenCV may decode a JPEG with differences of a few levels.
                * a tensor of **RGB**, (3, H, W), ``torch.uint8``, 0 to 255, on any device, as
                  ``torchvision.io.decode_image`` gives it.
                * an array of **BGR**, (H, W, 3), ``np.uint8``, 0 to 255, as ``cv2.imread`` and ``mmcv.imread`` give it.

                Where the test pipeline has ``ToEightBit``, values are in its range instead: PIL images of the modes I,
                I;16 and F, and tensors and arrays of any numbers but 8-bit ones.

        Raises:
            InputError: a file that is no image, or an image in another layout, type or range. Order of channels cannot
                be seen and is not checked.
        """
        return each(self._one, image)

    def _one(self, image: ImageInput) -> np.ndarray:
        return self.label(self.read(image))

    def label(self, pixels: np.ndarray) -> np.ndarray:
        """Return the class of every pixel, (H, W), of what ``read`` returned.

        Raises:
            InputError: the config describes a model or test pipeline that fails, or the GPU's memory is too small.
        """
        return labels_of(self.sample(pixels))


def labels_of(sample: SegDataSample) -> np.ndarray:
    """Return the class of every pixel, (H, W) int64, of a prediction."""
    return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
