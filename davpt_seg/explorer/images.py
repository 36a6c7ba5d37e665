"""Images for the explorer: read, and reduced to what is shown and what a model looks at."""

from __future__ import annotations

import os
from typing import Union

import cv2
import numpy as np
from PIL import Image

from ..apis.pixels import ImageReader
from ..datasets.pictures import UNREADABLE, why_unreadable
from ..errors import InputError

MAX_SHOWN = 1024  # pixels of the longer side that are shown and predicted
MAX_LOOKED = 518  # pixels of the longer side for attention, whose time grows with the square of the patches
#: Pillow's modes of 8 bits that no other reader converts: those of print and of colour science.
OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV")

ImageSource = Union[str, os.PathLike[str], Image.Image, np.ndarray]


def read_shown(reader: ImageReader, image: ImageSource) -> np.ndarray:
    """Return BGR pixels (h, w, 3) uint8 of an image, at most :data:`MAX_SHOWN` on the longer side.

    Args:
        reader: reader of the model's test pipeline.
        image: path, PIL image, or RGB pixels (H, W, 3) uint8.

    Raises:
        InputError: no image, or a broken one.
    """
    if isinstance(image, np.ndarray):
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
            raise InputError(f"an image array must be RGB (H, W, 3) uint8, got {image.dtype} {image.shape}")
        image = image[..., ::-1]
    elif isinstance(image, Image.Image) and image.mode in OTHER_COLOURS:
        try:
            image = image.convert("RGB")
        except UNREADABLE as error:  # files are read late
            name = getattr(image, "filename", "")
            raise InputError(f"PIL image {name!r} cannot be read: {why_unreadable(error, name)}") from error
    return reduced(np.ascontiguousarray(reader(image)), MAX_SHOWN)


def reduced(pixels: np.ndarray, most: int) -> np.ndarray:
    """Return an image (H, W, C) with at most ``most`` pixels on the longer side; a smaller one is unchanged."""
    height, width = pixels.shape[:2]
    scale = most / max(height, width)
    if scale >= 1:
        return pixels
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
