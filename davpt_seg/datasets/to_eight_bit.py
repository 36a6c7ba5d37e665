"""Transform that converts deep images to 8 bits by a given range."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.registry import TRANSFORMS

from ..errors import DataError, InputError


@TRANSFORMS.register_module()
class ToEightBit:
    """Scale images of 16 bits or fractions from ``0 .. max_value`` to ``0 .. 255``.

    Put it right after ``dict(type="LoadImageFromFile", color_type=3)`` (OpenCV's ``IMREAD_COLOR | IMREAD_ANYDEPTH``;
    ``color_type="unchanged"`` for a TIFF of gray fractions). The range is that of the sensor, 4095 for 12 bits, and the
    same for all images, because a range from each image's values would hide its brightness.

    Args:
        max_value: value that becomes 255; a larger one is an error.

    Raises:
        InputError: a range that is not above 0.
    """

    def __init__(self, max_value: float) -> None:
        if isinstance(max_value, bool) or not isinstance(max_value, (int, float)) or not 0 < max_value < float("inf"):
            raise InputError(f"ToEightBit max_value must be a number above 0, got {max_value!r}")
        self.max_value = max_value

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Replace ``img``, (H, W) or (H, W, 3), by (H, W, 3) uint8.

        Raises:
            DataError: an image of 8 bits, of another number of channels, or with values outside the range.
        """
        image, path = results["img"], results.get("img_path")
        name = f"image {path!r}" if path else "an image that is given as an array"
        if image.dtype == np.uint8:
            raise DataError(
                f"{name} has 8 bits, but ToEightBit max_value={self.max_value} is for deeper ones; where the "
                'file is deeper, LoadImageFromFile needs color_type=3 to read it so, not the default "color"'
            )
        if image.ndim == 2:
            image = np.stack([image] * 3, axis=-1)
        if image.ndim != 3 or image.shape[2] != 3:
            raise DataError(f"{name} has the shape {image.shape}, not (H, W) or (H, W, 3)")
        if not image.size or not (image.min() >= 0 and image.max() <= self.max_value):  # refuses NaN, too
            found = f"from {image.min()} to {image.max()}" if image.size else "none"
            raise DataError(f"{name} has values {found}; ToEightBit expects 0 to max_value={self.max_value}")
        if image.dtype.kind == "f" and 0 < image.max() <= 1 < self.max_value:
            raise DataError(
                f"{name} has fractions, from {image.min()} to {image.max()}, which become black with "
                f"max_value={self.max_value}; fractions need ToEightBit max_value=1"
            )
        scaled = np.rint(image.astype(np.float64) * (255 / self.max_value)).astype(np.uint8)
        return {**results, "img": scaled}

    def __repr__(self) -> str:
        return f"ToEightBit(max_value={self.max_value})"
