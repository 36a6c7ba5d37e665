"""Masks of a folder as class numbers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from ..datasets.load_label_map import read_label_map
from ..errors import DataError
from .class_file import Colour
from .mask_files import coded, decoded
from .pair import Pair

VOID = 255


@dataclass
class Masks:
    """All masks of a folder.

    ``table`` maps a value or colour to a class or ``VOID``, where masks must be written again; None where they hold
    class numbers. ``pixels`` counts pixels by class. ``zero_is_void`` is whether 0 is void and classes count from 1.
    """

    kind: str
    names: tuple[str, ...]
    table: Optional[dict[Any, int]]
    pixels: Counter[int] = field(default_factory=Counter)
    zero_is_void: bool = False
    notes: list[str] = field(default_factory=list)
    colours: Optional[tuple[tuple[Colour, ...], ...]] = None


def index_mask(root: Path, pair: Pair, masks: Masks) -> np.ndarray:
    """Return the class numbers of a mask, (H, W) uint8 (or uint16, as stored), with 255 for void.

    Raises:
        DataError: a value that the table does not have, because the file was changed meanwhile.
    """
    if masks.table is None:
        values = read_label_map((root / pair.mask).read_bytes(), str(root / pair.mask))
        if masks.zero_is_void:
            return np.where((values == 0) | (values == VOID), VOID, values - 1).astype(values.dtype)
        return values
    with Image.open(root / pair.mask) as image:
        by_colour = any(isinstance(key, tuple) for key in masks.table)
        values = coded(np.asarray(image.convert("RGB"))) if by_colour else np.asarray(image.convert("L"))
        if not by_colour and image.mode not in ("L", "RGB", "LA", "RGBA"):
            values = read_label_map((root / pair.mask).read_bytes(), str(root / pair.mask))
    numbers, inverse = np.unique(values, return_inverse=True)
    keys = [decoded(number) if by_colour else number for number in numbers.tolist()]
    unknown = [key for key in keys if key not in masks.table]
    if unknown:
        raise DataError(f"mask {pair.mask} holds {unknown[0]}, which no class has; run the command again")
    labels = np.array([masks.table[key] for key in keys], np.uint8)
    return labels[inverse].reshape(values.shape)
