"""Colours of classes where a data set has none of its own."""

from __future__ import annotations

from typing import Any

import numpy as np


def colours_of(palette: Any, count: int) -> np.ndarray:
    """Return the colours of C classes, (C, 3) uint8: a data set's, or VOC's.

    Args:
        palette: colours in 0..255, [red, green, blue] each. More than ``count`` are those of more classes: mmdet keeps
            the colours of COCO beside the names of other classes. Fewer, or None, are not used.
        count: number of classes.
    """
    if palette is not None and len(palette) >= count:
        return np.asarray(palette, dtype=np.uint8).reshape(-1, 3)[:count]
    return np.array(default_palette(count), dtype=np.uint8).reshape(-1, 3)


def default_palette(count: int) -> list[tuple[int, int, int]]:
    """Return different colours for classes: VOC's, without black."""
    return [_voc_colour(number) for number in range(1, count + 1)]


def _voc_colour(number: int) -> tuple[int, int, int]:
    """Return a colour of PASCAL VOC's palette: bits of the number become the highest bits of the channels."""
    channels = [0, 0, 0]
    for bit in range(8):
        for channel in range(3):
            channels[channel] |= (number >> (3 * bit + channel) & 1) << (7 - bit)
    return channels[0], channels[1], channels[2]
