"""Images for a model: read from a file, or given as pixels; anything but 8-bit BGR is refused by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import cv2
import mmcv
import numpy as np
import torch
from mmengine.dataset import Compose
from PIL import Image

from ..audit.depth import IMAGE_ADVICE, cuts_images, file_bits
from ..datasets.pipelines import loading_steps, step_name
from ..errors import InputError

WANTED = "pass a file, or BGR pixels (height, width, 3) of np.uint8, 0 to 255, as cv2.imread returns them"
CONVERSIONS = {
    torch.Tensor: "tensor.permute(1, 2, 0).cpu().numpy()[..., ::-1] turns RGB (3, height, width) of uint8 into it",
    Image.Image: "numpy.asarray(image.convert('RGB'))[..., ::-1] turns an image of 8 bits into it",
}


class ImageReader:
    """Read images as a test pipeline does.

    Args:
        pipeline: whose first steps load an image: ``LoadImageFromFile`` and, for deep images, ``ToEightBit``.
    """

    def __init__(self, pipeline: Sequence[Any]) -> None:
        self.cuts = cuts_images(pipeline)
        steps = loading_steps(pipeline)
        self.load = Compose(steps)
        self.scale = Compose([step for step in steps if step_name(step) == "ToEightBit"])

    def __call__(self, image: Any) -> np.ndarray:
        """Return BGR pixels (H, W, 3) uint8.

        Raises:
            InputError: a file that does not exist, is no image or is too deep, or pixels in another layout, type or
                range.
        """
        if isinstance(image, (str, os.PathLike)):
            return self._file(os.fspath(image))
        if not isinstance(image, np.ndarray) or isinstance(image, np.ma.MaskedArray):
            kind = next((kind for kind in CONVERSIONS if isinstance(image, kind)), None)
            advice = f"; {CONVERSIONS[kind]}" if kind else ""
            raise InputError(f"an image is given as {type(image).__name__}; {WANTED}{advice}")
        if image.size and self.scale.transforms:
            image = self.scale(dict(img=image))["img"]
        return _eight_bit_bgr(image)

    def _file(self, path: str) -> np.ndarray:
        if not os.path.exists(path):
            raise InputError(f"image {path!r} does not exist")
        try:
            bits = file_bits(path) or _decoded_bits(path)
            image = None if self.cuts and bits > 8 else self.load(dict(img_path=path))["img"]
        except (AssertionError, OSError) as error:  # mmcv asserts that OpenCV could read it; Pillow raises the other
            raise InputError(f"{path!r} is no image that can be read, or a broken one") from error
        if image is None:
            raise InputError(f"image {path!r} has {bits} bits a channel, of which the pipeline reads 8: {IMAGE_ADVICE}")
        return _eight_bit_bgr(image)


def _decoded_bits(path: str) -> int:
    """Return the bits of a channel that OpenCV decodes where it may keep all; 8 where it cannot read the file."""
    image = mmcv.imread(path, flag=cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, backend="cv2")
    return 8 if image is None else 8 * image.dtype.itemsize


def _eight_bit_bgr(image: np.ndarray) -> np.ndarray:
    """Return an image unchanged.

    Raises:
        InputError: one that is not (H, W, 3) uint8, with what turns it into that.
    """
    if image.dtype != np.uint8:
        advice = {
            "f": "fractions of 0 to 1 become it by numpy.rint(255 * image).astype(numpy.uint8), 0 to 255 without 255 *",
            "u": "12 bits become it by (image * (255 / 4095)).round().astype(numpy.uint8), 16 bits with 65535",
        }.get(image.dtype.kind, "values of 0 to 255 become it by image.astype(numpy.uint8)")
        raise InputError(f"an image has type {image.dtype}; {WANTED}; {advice}")
    if image.ndim == 3 and image.shape[2] == 3 and image.size:
        return image
    if not image.size:
        advice = "it has no pixel"
    elif image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 1):
        advice = "gray becomes it by cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)"
    elif image.ndim == 3 and image.shape[0] in (1, 3):
        advice = "channels come last: image.transpose(1, 2, 0)"
    elif image.ndim == 3 and image.shape[2] == 4:
        advice = "image[..., :3] omits the last channel (alpha); the others must be BGR"
    else:
        advice = "one image a call"
    raise InputError(f"an image has the shape {image.shape}; {WANTED}; {advice}")
