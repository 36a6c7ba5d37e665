"""Image files, read whole or only their headers."""

from __future__ import annotations

import struct
from typing import BinaryIO, NamedTuple, Optional, Union

import numpy as np
from PIL import Image

# What Pillow is seen to raise on files that are cut off or are no image.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
ORIENTATION = 0x0112  # the Exif tag; 1 is upright


class Picture(NamedTuple):
    """An image file: (width, height), Pillow's mode, Exif orientation, and (H, W, ...) values if decoded."""

    size: tuple[int, int]
    mode: str
    orientation: int
    values: Optional[np.ndarray]


def read_picture(file: Union[str, BinaryIO], decode: bool) -> Picture:
    """Read an image file, or only its header.

    Raises:
        OSError, SyntaxError, ValueError, EOFError, struct.error: what cannot be read (``UNREADABLE``).
    """
    with Image.open(file) as image:
        orientation = image.getexif().get(ORIENTATION, 1)
        return Picture(image.size, image.mode, orientation, np.asarray(image) if decode else None)
