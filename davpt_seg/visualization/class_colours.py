"""Colours of classes where a data set has none of its own."""

from __future__ import annotations

from typing import Any

import numpy as np


def colours_of(palette: Any, count: int) -> np.ndarray:
    """Return the colours of C classes, (C, 3) uint8: a data set's, or hues at equal distances.

    Args:
        palette: colours in 0..255, [red, green, blue] each. More than ``count`` are those of more classes: mmdet keeps
            the colours of COCO beside the names of other classes. Fewer, or None, are not used.
        count: number of classes.
    """
    if palette is not None and len(palette) >= count:
        return np.asarray(palette, dtype=np.uint8).reshape(-1, 3)[:count]
    hues = np.arange(count) / max(count, 1)
    waves = np.cos(2 * np.pi * (hues[:, None] - np.array([0, 1 / 3, 2 / 3])))
    return np.rint(140 + 100 * waves).astype(np.uint8)
