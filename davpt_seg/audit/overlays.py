"""Masks painted over their images: both readings of an Exif tag, and panels for other figures."""

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
            labelled(overlay(image, mask, _coloured(mask)), f"{name} (orientation {pair.orientation})")
            for name, image in (("stored", stored), ("upright", upright))
            if pair.drawn == EITHER or image.size == pair.mask_size
        ]
        written.append(folder / f"{number:03d}_{Path(pair.path).stem}.png")
        side_by_side(panels or [labelled(upright, "upright, no mask of its size")]).save(written[-1])
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


def overlay(
    image: Image.Image, mask: np.ndarray, colours: np.ndarray, painted: Optional[np.ndarray] = None
) -> Image.Image:
    """Mix an image with colours, borders of its mask in white.

    Args:
        image: RGB image of (width, height).
        mask: values (H, W).
        colours: colour of each pixel (H, W, 3).
        painted: pixels to paint (H, W), bool; all by default.
    """
    original = np.asarray(image)
    pixels = (HALF * original + (1 - HALF) * colours).astype(np.uint8)
    if painted is not None:
        pixels = np.where(painted[..., None], pixels, original)
    border = np.zeros(mask.shape, bool)
    border[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    border[1:] |= mask[1:] != mask[:-1]
    pixels[border] = 255
    return Image.fromarray(pixels)


def _coloured(mask: np.ndarray) -> np.ndarray:
    """Return a colour for each value of a mask, (H, W, 3)."""
    value = mask.astype(np.int64)
    return np.stack([value * 37 % 256, value * 91 % 256, value * 151 % 256], -1)


def labelled(image: Image.Image, text: str) -> Image.Image:
    """Return an image of at most ``SIDE`` pixels a side with a line of text above it."""
    image = image.copy()
    image.thumbnail((SIDE, SIDE))
    panel = Image.new("RGB", (image.width, image.height + 16), "white")
    panel.paste(image, (0, 16))
    ImageDraw.Draw(panel).text((2, 2), text, fill="black")
    return panel


def side_by_side(panels: Sequence[Image.Image]) -> Image.Image:
    """Join panels from left to right."""
    width = sum(panel.width for panel in panels) + 8 * (len(panels) - 1)
    sheet = Image.new("RGB", (width, max(panel.height for panel in panels)), "white")
    left = 0
    for panel in panels:
        sheet.paste(panel, (left, 0))
        left += panel.width + 8
    return sheet
