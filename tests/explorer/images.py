"""Image files for the explorer's tests."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image


def content(width: int, height: int, kind: str = "JPEG", mode: str = "RGB") -> bytes:
    """Content of an image file with smooth colours."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows % 256, columns % 256, (rows + columns) % 256], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind)
    return file.getvalue()


#: Name and content of files that are no image for the explorer, and what the answer says.
WRONG = {
    "text": ("notes.jpg", b"shopping list: prompts, patches\n", "'notes.jpg' cannot be read: it is no image"),
    "one pixel": ("dot.png", content(1, 1, "PNG"), "'dot.png' has 1 x 1 pixels"),
    "broken": ("cut.jpg", content(64, 48)[:300], "'cut.jpg' cannot be read"),
    "empty": ("empty.png", b"", "'empty.png' cannot be read: the file is empty"),
    "refused by the model": ("print.jpg", content(64, 48, mode="CMYK"), "CMYK"),
}
