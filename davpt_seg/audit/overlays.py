"""Masks painted over their images, to compare both readings of an Exif tag."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image, ImageDraw

from ..datasets.pictures import ORIENTATION, UNREADABLE
from .exif import EITHER, Tagged

SIDE = 512  # pixels of a panel's longer side, at most
HALF = 0.5
TURNS = {
    2: (Image.Transpose.FLIP_LEFT_RIGHT,),
    3: (Image.Transpose.ROTATE_180,),
    4: (Image.Transpose.FLIP_TOP_BOTTOM,),
    5: (Image.Transpose.TRANSPOSE,),
    6: (Image.Transpose.ROTATE_270,),
    7: (Image.Transpose.TRANSVERSE,),
    8: (Image.Transpose.ROTATE_90,),
}
BACK = {6: 8, 8: 6}  # the other turns undo themselves


def write_overlays(pairs: Sequence[Tagged], folder: Path) -> list[Path]:
    """Write an image for each pair: its mask over the pixels as stored, and over the upright image.

    Panels whose image and mask differ in size, unreadable pairs, and masks in colours are omitted.

    Args:
        pairs: tagged images with their masks.
        folder: output folder, created if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for number, pair in enumerate(pairs):
        try:
            stored, upright = both_readings(pair.path)
            mask = np.asarray(Image.open(pair.mask_path))
        except UNREADABLE:  # the check names it
            continue
        if mask.ndim != 2:
            continue
        panels = [
            _labelled(_overlay(image, mask), f"{name} (orientation {pair.orientation})")
            for name, image in (("stored", stored), ("upright", upright))
            if pair.drawn == EITHER or image.size == pair.mask_size
        ]
        written.append(folder / f"{number:03d}_{Path(pair.path).stem}.png")
        _side_by_side(panels or [_labelled(upright, "upright, no mask of its size")]).save(written[-1])
    return written


def both_readings(path: str) -> tuple[Image.Image, Image.Image]:
    """Return an image's pixels as stored, and upright."""
    with Image.open(path) as image:
        orientation = image.getexif().get(ORIENTATION, 1)
        turned_by_pillow = image.format == "TIFF"
        pixels = image.convert("RGB")
    if turned_by_pillow:
        return _turned(pixels, BACK.get(orientation or 1, orientation)), pixels
    return pixels, _turned(pixels, orientation)


def _turned(image: Image.Image, orientation: Optional[int]) -> Image.Image:
    for turn in TURNS.get(orientation or 1, ()):
        image = image.transpose(turn)
    return image


def _overlay(image: Image.Image, mask: np.ndarray) -> Image.Image:
    """Mix an image with a colour for each value of its mask, borders in white."""
    value = mask.astype(np.int64)
    colours = np.stack([value * 37 % 256, value * 91 % 256, value * 151 % 256], -1)
    pixels = (HALF * np.asarray(image) + (1 - HALF) * colours).astype(np.uint8)
    border = np.zeros(value.shape, bool)
    border[:, 1:] |= value[:, 1:] != value[:, :-1]
    border[1:] |= value[1:] != value[:-1]
    pixels[border] = 255
    return Image.fromarray(pixels)


def _labelled(image: Image.Image, text: str) -> Image.Image:
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    panel = Image.new("RGB", (image.width, image.height + 16), "white")
    panel.paste(image, (0, 16))
    ImageDraw.Draw(panel).text((2, 2), text, fill="black")
    return panel


def _side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    width = sum(panel.width for panel in panels) + 8 * (len(panels) - 1)
    sheet = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + 8
    return sheet
