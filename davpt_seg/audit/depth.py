"""Files with more bits per channel than their pipeline reads, 8 by default."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Optional

import cv2
from PIL import Image

from ..datasets.pictures import UNREADABLE, Headers, stored_bits
from ..datasets.pipelines import MASK_LOADERS, find_step, step_name
from ..errors import DataError
from ..image_names import JPEG_SUFFIXES
from ..long_work import MANY, WORKERS, in_parallel

EIGHT_BIT = ("color", "grayscale", "color_ignore_orientation", "grayscale_ignore_orientation")
NONE: Headers = MappingProxyType({})
IMAGE_ADVICE = (
    "values that use 12 of 16 bits become almost black. Convert the images to 8 bits, or state their range in the "
    "pipelines: dict(type='LoadImageFromFile', color_type=3), dict(type='ToEightBit', max_value=4095) (docs/data.md)"
)
MASK_ADVICE = "257 becomes 1. Replace it by dict(type='LoadLabelMap') in the pipelines (docs/data.md)"


def cuts_images(pipeline: Sequence[Any]) -> bool:
    """Return whether a pipeline reads 8 bits of an image file, whatever its depth; an empty pipeline does."""
    if not pipeline:
        return True
    step = pipeline[0]
    arguments = step if isinstance(step, dict) else vars(step)
    flag = arguments.get("color_type", "color")
    return (
        step_name(step) == "LoadImageFromFile"
        and (flag in EIGHT_BIT if isinstance(flag, str) else not flag & cv2.IMREAD_ANYDEPTH)
        and arguments.get("imdecode_backend") != "tifffile"  # it reads files as they are
    )


def cuts_masks(pipeline: Sequence[Any]) -> bool:
    """Return whether a pipeline reads 8 bits of a mask file, whatever its depth."""
    step = find_step(pipeline, *MASK_LOADERS)
    return step is not None and step_name(step) == "LoadAnnotations"


def check_depth(
    items: Sequence[Mapping[str, Any]],
    pipeline: Sequence[Any],
    classes: int = 0,
    headers: Headers = NONE,
) -> None:
    """Refuse images and masks with more bits than their pipeline reads; only headers are read.

    Args:
        items: items of a data set, with ``img_path`` and, where there are masks, ``seg_map_path``.
        pipeline: configs of the data set's transforms.
        classes: number of classes C of a data set with masks.
        headers: image headers that were read before.

    Raises:
        DataError: a file with more than 8 bits a channel, or more classes than 8 bits hold.
    """
    images, masks = cuts_images(pipeline), cuts_masks(pipeline)
    if masks and classes > 255:
        raise DataError(f"{classes} classes, but LoadAnnotations reads 8 bits of a mask: {MASK_ADVICE}")

    def bits_of(path: str) -> Optional[int]:
        if path not in headers:
            return file_bits(path)
        header = headers[path]
        return header.bits if header else None

    for cuts, key, what, advice in (
        (images, "img_path", "image", f"the pipeline reads 8: {IMAGE_ADVICE}"),
        (masks, "seg_map_path", "mask", f"LoadAnnotations reads 8: {MASK_ADVICE}"),
    ):
        paths = list(dict.fromkeys(item[key] for item in items if cuts and key in item))
        paths = [path for path in paths if not path.lower().endswith(JPEG_SUFFIXES)]  # they have 8 bits
        bar = sum(path not in headers for path in paths) > MANY
        for path, bits in zip(paths, in_parallel(bits_of, paths, WORKERS, "bits", bar=bar)):
            if bits and bits > 8:
                raise DataError(f"{what} {path!r} has {bits} bits a channel, of which {advice}")


def file_bits(path: str) -> Optional[int]:
    """Return the bits per channel of an image file, from its header; None if Pillow cannot read it."""
    try:
        with Image.open(path) as image:
            return stored_bits(image)
    except UNREADABLE:
        return None
