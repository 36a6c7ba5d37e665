"""Mask files: class numbers, a palette or colours, and how many pixels have each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple, Optional

import numpy as np

from ..datasets.load_label_map import read_label_map
from ..datasets.pictures import UNREADABLE, read_picture
from ..errors import DataError
from .class_file import Colour
from .pair import Pair

GRAY, CHANNELS, PALETTE, RGB = "gray", "channels", "palette", "rgb"


COLOURED = ("RGB", "RGBA", "LA")  # Pillow's modes


class Mask(NamedTuple):
    """A mask that was read: its kind, pixels by value or colour, its palette, and whether sizes agree."""

    kind: str
    values: Counter[Any]
    palette: Optional[np.ndarray]
    sizes: tuple[tuple[int, int], tuple[int, int]]


def read_mask(root: Path, pair: Pair) -> Mask:
    """Read a mask, and the size of its image.

    Raises:
        DataError: a file that cannot be read, or that can be no mask.
    """
    try:
        image, mask = read_picture(str(root / pair.image), False), read_picture(str(root / pair.mask), True)
    except UNREADABLE as error:
        raise DataError(
            f"{root / pair.mask} or {pair.image} cannot be read: {error}; restore it, or move the pair away"
        ) from error
    values = mask.values
    assert values is not None
    size = image.size if mask.size == image.size else image.upright_size
    sizes = (size, mask.size)
    if values.ndim == 3:
        colours = _plain(values, mask.mode, pair)
        if colours.ndim == 3:
            codes, counts = np.unique(coded(colours), return_counts=True)
            return Mask(RGB, Counter(dict(zip(map(decoded, codes.tolist()), counts.tolist()))), None, sizes)
        values = colours
    else:
        values = read_label_map((root / pair.mask).read_bytes(), str(root / pair.mask))
    numbers, counts = np.unique(values, return_counts=True)
    kind = CHANNELS if mask.mode in COLOURED else PALETTE if mask.palette is not None else GRAY
    return Mask(kind, Counter(dict(zip(numbers.tolist(), counts.tolist()))), mask.palette, sizes)


def _plain(values: np.ndarray, mode: str, pair: Pair) -> np.ndarray:
    """Return colours (H, W, 3), or gray (H, W) where all channels are equal; alpha must be constant.

    Raises:
        DataError: other channels, or transparent pixels.
    """
    if mode == "LA" or mode == "RGBA":
        alpha, values = values[..., -1], values[..., :-1]
        if alpha.min() != alpha.max():
            raise DataError(f"mask {pair.mask} has transparent pixels; save it without transparency, as RGB or gray")
    if values.shape[-1] not in (1, 3) or values.dtype != np.uint8:
        raise DataError(
            f"mask {pair.mask} has Pillow mode {mode}; save it as RGB with 8 bits a channel, or as class numbers"
        )
    return values[..., 0] if (values[..., :1] == values).all() else values


def coded(colours: np.ndarray) -> np.ndarray:
    """Return a number for each colour: (..., 3) uint8 to (...) int32."""
    wide = colours.astype(np.int32)
    return wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]


def decoded(code: int) -> Colour:
    """Return the colour of a number."""
    return code >> 16, code >> 8 & 255, code & 255
