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
from .pictures import stored_bits

INTEGERS = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")  # Pillow's modes of one channel of integers
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
            DataError: a mask in colours, of fractions, of 2 or 4 bits, of several pages, or with values of more than 16
                bits.
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
        DataError: a file that does not hold one class number per pixel.
        OSError: a file that is truncated or no image.
    """
    with Image.open(io.BytesIO(content)) as image:
        problem = label_map_problem(image.mode, stored_bits(image))
        pages = getattr(image, "n_frames", 1)
        if not problem and pages > 1:
            problem = f"has {pages} pages; write the one with the labels to a separate file"
        if problem:
            raise DataError(f"mask {path!r} {problem}")
        values = np.asarray(image)
    if values.dtype in (np.uint8, np.bool_):
        return values.astype(np.uint8)
    if values.min() < 0 or values.max() > MOST:
        raise DataError(
            f"mask {path!r} holds values from {values.min()} to {values.max()}; class numbers must be from 0 to {MOST}"
        )
    return values.astype(np.uint16)


def label_map_problem(mode: str, bits: int) -> Optional[str]:
    """Describe why a file cannot be a mask, by Pillow's mode and the bits per channel; None if it can."""
    if mode == "F":
        return "holds fractions (Pillow mode F); write class numbers as integers of 8 or 16 bits"
    if mode not in INTEGERS:
        return (
            f"has Pillow mode {mode}: it is a colour image; a mask has one channel (mode L, P or I;16) of class numbers"
        )
    if mode == "L" and bits < 8:
        return (
            f"has {bits} bits a pixel, so reading stretches its values to 0 to 255; write it with 8 bits a pixel, or "
            "with a palette"
        )
    return None


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
