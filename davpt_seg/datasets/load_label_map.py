"""Transform that reads masks without loss: 8 or 16 bits, up to 65,535 classes."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
from mmengine import fileio
from mmengine.registry import TRANSFORMS
from PIL import Image

from ..errors import DataError, InputError
from .pictures import UNREADABLE, stored_bits, stored_mode, why_unreadable

INTEGERS = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes of one channel of integers
COLOURS = {  # and of several channels of colours, with what is not obvious
    **dict.fromkeys(("RGB", "RGBA", "RGBX", "RGBa", "YCbCr", "LAB", "HSV"), ""),
    "CMYK": " in printing colours",
    "PA": " with a palette and an alpha channel",
}
MOST = 65535  # the largest value; with this as void, 65,535 classes


@TRANSFORMS.register_module()
class LoadLabelMap:
    """Read a mask as it is stored, while mmseg's ``LoadAnnotations`` keeps the lowest 8 bits (257 becomes 1).

    For 8-bit files the result is that of ``LoadAnnotations``, bit for bit. ``reduce_zero_label`` and a subset of the
    classes have the same meaning. An image without mask, as in inference, passes.

    Args:
        ignore_index: label of void, for ``reduce_zero_label`` and for omitted classes. With more than 255
            classes, give the same everywhere (docs/data.md, "More than 255 classes").
        backend_args: see ``LoadImageFromFile``.

    Raises:
        InputError: an ignore_index of more than 16 bits.
    """

    def __init__(self, ignore_index: int = 255, backend_args: Optional[Mapping[str, Any]] = None) -> None:
        if not 0 <= ignore_index <= MOST:
            raise InputError(f"LoadLabelMap ignore_index must be from 0 to {MOST}, got {ignore_index}")
        self.ignore_index = ignore_index
        self.backend_args = backend_args

    def __call__(self, results: dict[str, Any]) -> dict[str, Any]:
        """Add ``gt_seg_map``, (H, W): uint8 if 8 bits hold the file's values and void, else uint16.

        Raises:
            DataError: a mask that cannot be read, in colours, of fractions, partly transparent, of 2 or 4 bits, of
                several pages, or with values of more than 16 bits.
        """
        path = results.get("seg_map_path")
        if path is None:
            return results
        values = read_label_map(fileio.get(path, backend_args=self.backend_args), path)
        if self.ignore_index > 255:
            values = values.astype(np.uint16)
        zero_is_void = bool(results.get("reduce_zero_label"))
        results["gt_seg_map"] = relabel(values, zero_is_void, results.get("label_map"), self.ignore_index)
        results.setdefault("seg_fields", []).append("gt_seg_map")
        return results

    def __repr__(self) -> str:
        return f"LoadLabelMap(ignore_index={self.ignore_index})"


def read_label_map(content: bytes, path: str) -> np.ndarray:
    """Decode a mask, (H, W), uint8 or uint16.

    Args:
        content: content of the file.
        path: path for messages.

    Raises:
        DataError: a file that is truncated or no image, or that does not hold one class number per pixel.
    """
    try:
        with Image.open(io.BytesIO(content)) as image:
            problem = label_map_problem(stored_mode(image), stored_bits(image))
            pages = getattr(image, "n_frames", 1)
            mode, pixels = image.mode, np.asarray(image)
    except UNREADABLE as error:
        raise DataError(f"mask {path!r} cannot be read: {why_unreadable(error, content)}") from error
    if not problem and pages > 1:
        problem = f"has {pages} pages; write the one with the labels to a separate file"
    if problem:
        raise DataError(f"mask {path!r} {problem}{equal_channels(pixels)}")
    try:
        values = class_numbers(pixels, mode)
    except DataError as error:
        raise DataError(f"mask {path!r} {error}") from error
    if values.dtype == np.uint8:
        return values
    if values.min() < 0 or values.max() > MOST:
        raise DataError(
            f"mask {path!r} holds values from {values.min()} to {values.max()}; class numbers must be from 0 to {MOST}"
        )
    return values.astype(np.uint16)


def label_map_problem(mode: str, bits: int) -> Optional[str]:
    """Describe why a file cannot be a mask, by Pillow's mode and the bits per channel; None if it can."""
    if mode in COLOURS:
        return (
            f"has Pillow mode {mode}: it is a colour image{COLOURS[mode]}; a mask has one channel (mode L, P or I;16) "
            "of class numbers"
        )
    if mode not in (*INTEGERS, "F", "LA"):
        return f"has Pillow mode {mode}; a mask has one channel (mode L, P or I;16) of class numbers"
    if mode == "LA" and bits > 8:
        return f"has Pillow mode LA and {bits} bits, of which 8 would be read; write it without alpha (mode I;16)"
    if mode == "L" and bits < 8:
        return (
            f"has {bits} bits a pixel, so reading stretches its values to 0 to 255; write it with 8 bits a pixel, or "
            "with a palette"
        )
    return None


def class_numbers(pixels: np.ndarray, mode: str) -> np.ndarray:
    """Return the class numbers of a mask's pixels, (H, W), of an integer type.

    Fractions (mode F) that are all integers, and gray with an alpha channel that is opaque everywhere (LA), are read.

    Args:
        pixels: values as Pillow decodes them, (H, W) or (H, W, 2).
        mode: Pillow's mode, one without :func:`label_map_problem`.

    Raises:
        DataError: no pixels, values that are no integers, or transparent ones. The message goes after the file's name.
    """
    if not pixels.size:
        raise DataError(f"has no pixels ({pixels.shape[0]} x {pixels.shape[1]}); make it again")
    if mode == "LA":
        if pixels[..., 1].min() < 255:
            raise DataError(
                "has Pillow mode LA: it is gray with an alpha channel, and transparent in places; write it without "
                "alpha (mode L), with the number of void where it is transparent"
            )
        return pixels[..., 0]
    if pixels.dtype.kind == "f":
        wrong = pixels[pixels != np.rint(pixels)]  # NaN is one
        if wrong.size or not np.isfinite(pixels).all():
            odd = wrong[0] if wrong.size else pixels[~np.isfinite(pixels)][0]
            raise DataError(
                f"holds fractions (Pillow mode F), for instance {odd:.6g}; write class numbers as integers of 8 or 16 "
                "bits"
            )
        return pixels.clip(-1, MOST + 1).astype(np.int32)
    return pixels.astype(np.uint8) if pixels.dtype == np.bool_ else pixels


def equal_channels(pixels: np.ndarray) -> str:
    """Return advice on a colour image that is gray: all its channels are equal; else an empty text."""
    if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size or (pixels != pixels[..., :1]).any():
        return ""
    return ". Its three channels are equal; keep one: PIL.Image.open(FILE).getchannel(0).save(FILE)"


def relabel(
    values: np.ndarray, zero_is_void: bool, label_map: Optional[Mapping[int, int]], ignore_index: int = 255
) -> np.ndarray:
    """Convert the values of a mask into labels, as mmseg does.

    Args:
        values: unsigned integers of a type that holds the ``ignore_index``.
        zero_is_void: whether 0 is void and v becomes v - 1 (``reduce_zero_label``).
        label_map: new label by old label, 255 for an omitted class (mmseg's ``get_label_map``); None for none.
        ignore_index: label of void.

    Returns:
        Labels of the values' shape and type.

    Raises:
        DataError: a subset with so many classes that mmseg's 255 may be one of them.
    """
    labels = values.copy()
    if zero_is_void:
        void = (values == 0) | (values == ignore_index)
        labels = np.where(void, values.dtype.type(ignore_index), values - values.dtype.type(1))
    if label_map is None:
        return labels
    if 254 in label_map.values() and max(label_map.values()) >= 255:
        raise DataError(
            "metainfo names a subset of 255 classes or more, but mmseg gives omitted classes the label 255; write "
            "masks with only the classes to train, and a data set type with these classes"
        )
    chosen = labels.copy()
    for old, new in label_map.items():
        chosen[labels == old] = ignore_index if new == 255 else new
    return chosen
