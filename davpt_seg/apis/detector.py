"""Detection of objects in images from Python with a checkpoint, and without its data set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Union, overload

import numpy as np

from ..errors import InputError
from ..training.refusals import step
from ..training.tasks import DETECTION
from ..training.trained_checkpoint import detected_classes
from ..visualization.detections import Detections, detections_of
from .image_model import PREDICTS, ImageModel
from .pixels import ImageInput, Images, each


class Detector(ImageModel):
    """A trained detector, ready for images.

    >>> detector = Detector("work_dirs/davpt/mask_rcnn_vitb_coco/epoch_12.pth")
    >>> found = detector("street.jpg").above(0.5)
    >>> found.boxes, [detector.classes[label] for label in found.labels]  # (n, 4), n names

    Args:
        checkpoint: see :class:`~davpt_seg.apis.Predictor`.
        config: see there.
        device: see there.
        options: see there; ``model.test_cfg`` has the lowest score (``score_thr``) and the most objects of an image.
        trust_config: see there.
        trunk: see there.

    Attributes:
        classes: C names.
        palette: their colours, (C, 3) uint8.
        steps: the test pipeline, a dict a transform.

    Raises:
        InputError: see there; also a model of another task.
        ModuleNotFoundError: mmdet is not installed.
    """

    task = DETECTION
    memory_advice = "resize images to fewer pixels (Resize in test_dataloader.dataset.pipeline)"

    def use_classes(self, content: Mapping[str, Any], path: str) -> None:
        """Take names and colours of the classes."""
        self.classes, self.palette = detected_classes(content, path)

    @overload
    def __call__(self, image: ImageInput) -> Detections: ...
    @overload
    def __call__(self, image: Images) -> list[Detections]: ...
    def __call__(self, image: Union[ImageInput, Images]) -> Union[Detections, list[Detections]]:
        """Return the objects in an image, or a list of :class:`Detections` for a list of images.

        Boxes and masks are in pixels of the image as given, whatever size the test pipeline resizes it to.

        Args:
            image: one image, or several, as :meth:`davpt_seg.apis.Predictor.__call__` takes them.

        Raises:
            InputError: a file that is no image, or an image in another layout, type or range.
        """
        return each(self._one, image)

    def _one(self, image: ImageInput) -> Detections:
        return self.detect(self.read(image))

    def detect(self, pixels: np.ndarray) -> Detections:
        """Return the objects in what ``read`` returned.

        Raises:
            InputError: the config describes a model or test pipeline that fails, or the GPU's memory is too small.
        """
        sample = self.sample(pixels)
        with step(f"{self.origin} finds no boxes ({PREDICTS})"):
            found = detections_of(sample.pred_instances)
        if len(found) and found.labels.max() >= len(self.classes):
            raise InputError(
                f"{self.origin} has a head of more classes than the {len(self.classes)} that its checkpoint names "
                "(meta.dataset_meta.classes), so that some boxes have no name"
            )
        return found
