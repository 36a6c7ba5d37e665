"""Predict images from Python with a checkpoint, and without its data set."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Optional, Union, overload

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from mmengine.registry import MODELS, init_default_scope
from mmseg.structures import SegDataSample

from ..audit.data_check import DataCheck, read_as_stored
from ..core.adapter_folder.backbone import TrunkSource
from ..core.adapter_folder.places import is_folder
from ..datasets.pipelines import step_name, without_masks
from ..errors import InputError
from ..experiments.options import put_options
from ..training.refusals import step
from ..training.testing import set_mode, use_tta
from ..training.trained_checkpoint import class_names_and_colours
from ..training.trained_model import TrainedModel
from ..trust.config_parts import innermost
from .adapters import OpenedAdapter
from .paths import path_of
from .pixels import ImageInput, ImageReader, Images, each

PREDICTS = "model, test_dataloader.dataset.pipeline"
WINDOWS = "predict by windows (mode='slide')"  # where memory is too small


class Predictor:
    """A trained segmentor, ready for images.

    >>> predictor = Predictor("work_dirs/davpt/linear_vits14_camvid/epoch_15.pth")
    >>> labels = predictor("street.jpg")  # (H, W)
    >>> predictor.classes[labels[0, 0]]
    'sky'

    Args:
        checkpoint: a ``.pth`` file that ``tools/train.py`` wrote, or an adapter folder (a path, or ``hub:USER/NAME``);
            loaded strictly. Or what :func:`opened` returned, which needs no ``config``, ``trunk`` or ``trust_config``.
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
        check_device(device)
        trained = checkpoint
        if not isinstance(trained, (OpenedAdapter, TrainedModel)):
            trained = opened(trained, config, trunk, trust_config)
        cfg = trained.cfg
        self.classes, self.palette = class_names_and_colours(trained.content, trained.path)
        put_options(cfg, options or {})
        if DataCheck.from_config(cfg).exif == "stored":  # as train.py and test.py do
            read_as_stored(cfg)
        if mode:
            set_mode(cfg, mode)
        model: Any = trained.build().to(device or get_device())
        if tta:
            use_tta(cfg)
            with step(f"the test-time augmentation of {trained.origin} cannot be built (tta_model)"):
                model = MODELS.build(dict(cfg.tta_model, module=model)).eval()
        self.model, self._origin = model, trained.origin
        init_default_scope(cfg.get("default_scope") or "mmseg")
        self.steps = steps = test_steps(cfg)
        with step(f"the test pipeline of {trained.origin} cannot be built (test_dataloader.dataset.pipeline)"):
            self.pipeline = Compose(image_steps(steps))
        self.reader = ImageReader(steps)

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

    def read(self, image: ImageInput) -> np.ndarray:
        """Return BGR pixels (H, W, 3) uint8 of one image, as the model takes them.

        Raises:
            InputError: as of a call.
        """
        return self.reader(image)

    def label(self, pixels: np.ndarray) -> np.ndarray:
        """Return the class of every pixel, (H, W), of what ``read`` returned.

        Raises:
            InputError: the config describes a model or test pipeline that fails, or the GPU's memory is too small.
        """
        return labels_of(self.sample(pixels))

    @torch.no_grad()
    def sample(self, pixels: np.ndarray) -> SegDataSample:
        """Return mmseg's prediction of what ``read`` returned: labels, and the logits of all classes.

        Raises:
            InputError: as :meth:`label`.
        """
        with step(f"{self._origin} does not predict this image ({PREDICTS})", WINDOWS):
            (sample,) = self.model.test_step(pseudo_collate([self.pipeline(dict(img=pixels))]))
            return sample


def labels_of(sample: SegDataSample) -> np.ndarray:
    """Return the class of every pixel, (H, W) int64, of a prediction."""
    return sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)


def opened(
    checkpoint: Union[str, os.PathLike[str]],
    config: Optional[Union[str, os.PathLike[str], Config]],
    trunk: TrunkSource,
    trust_config: bool,
    classifiers: bool = False,
) -> Union[OpenedAdapter, TrainedModel]:
    """Open a checkpoint or an adapter folder, of which nothing is built yet.

    Args:
        checkpoint: see :class:`Predictor`.
        config: see there; a folder takes none, because it holds its own.
        trunk: see there.
        trust_config: see there.
        classifiers: take classifiers too; otherwise they are refused.

    Raises:
        InputError: see :class:`~davpt_seg.training.trained_model.TrainedModel` and :class:`OpenedAdapter`.
    """
    checkpoint = path_of(checkpoint, "checkpoint (a .pth file or an adapter folder)")
    if config is not None and not isinstance(config, Config):
        config = path_of(config, "config")
    if not is_folder(checkpoint):
        return TrainedModel(checkpoint, config, trust_config, classifiers, trunk)
    if config is not None:
        raise InputError(f"adapter folder {os.fspath(checkpoint)!r} holds its config: omit CONFIG; options change it")
    folder = OpenedAdapter(checkpoint, trunk, trust_config)
    if not classifiers and folder.config.task == "classification":
        raise InputError(
            f"adapter folder {folder.path!r} is a classifier's, and this labels every pixel. For the class of an "
            "image: mmpretrain.ImageClassificationInferencer(load_adapter(FOLDER, trunk=FILE))(IMAGES), with "
            "davpt_seg.apis.load_adapter"
        )
    return folder


def check_device(device: Optional[str]) -> None:
    """Refuse a device before anything is loaded for it."""
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, TypeError) as error:  # AssertionError: torch was built without CUDA
        reason = str(error).splitlines()[0]
        raise InputError(
            f"device {device!r} cannot be used here: {reason}. Without a device, what is there is used"
        ) from error


def test_steps(cfg: Config) -> list[dict[str, Any]]:
    """Return the test pipeline of a config: its test data set's, or its validation data set's.

    Raises:
        InputError: there is neither.
    """
    loader = cfg.get("test_dataloader") or cfg.get("val_dataloader")
    steps = innermost(loader.get("dataset") if isinstance(loader, dict) else None).get("pipeline")
    if not steps or not isinstance(steps, list) or not all(isinstance(each, dict) and "type" in each for each in steps):
        raise InputError(
            "the config has no test pipeline: test_dataloader.dataset.pipeline must be a list of transforms with types"
        )
    return steps


def image_steps(steps: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Fit a test pipeline to images that are in memory already and have no label map.

    Raises:
        InputError: a pipeline that does not start from an image file.
    """
    if steps[0]["type"] != "LoadImageFromFile":
        raise InputError(f"the test pipeline starts with {steps[0]['type']!r}, but must with 'LoadImageFromFile'")
    kept = [each for each in steps[1:] if step_name(each) != "ToEightBit"]  # what read has done
    return [dict(steps[0], type="LoadImageFromNDArray"), *without_masks(kept)]
