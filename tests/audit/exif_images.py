"""Images with known pixels and an Exif orientation, and their masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from davpt_seg.audit.exif import XMP

# Change of the stored pixels for orientation n, by the Exif standard (CIPA DC-008, table 6).
TURN = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: np.swapaxes(a, 0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.swapaxes(np.rot90(a, 2), 0, 1),
    8: lambda a: np.rot90(a, 1),
}
COLOURS = np.array([[230, 20, 20], [20, 230, 20], [20, 20, 230], [230, 230, 20]], np.uint8)


def quadrants(height: int = 32, width: int = 48) -> np.ndarray:
    """Return labels 0 to 3, (height, width), which every turn changes."""
    labels = np.zeros((height, width), np.uint8)
    labels[: height // 2, width // 2 :] = 1
    labels[height // 2 :, : width // 2] = 2
    labels[height // 2 :, width // 2 :] = 3
    return labels


def write_tagged(path: Path, stored: np.ndarray, orientation: int, kind: str = "JPEG", xmp: bool = False) -> None:
    """Write an image whose stored pixels have the labels' colours, with an orientation tag."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    exif[0x0112] = orientation
    metadata: dict[str, Any] = dict(xmp=XMP) if xmp else dict(exif=exif)
    options: dict[str, Any] = dict(JPEG=dict(quality=95, subsampling=0), WEBP=dict(lossless=True)).get(kind, {})
    Image.fromarray(COLOURS[stored]).save(path, kind, **metadata, **options)


def labels_of(pixels: np.ndarray) -> np.ndarray:
    """Return the label of each pixel of an image in these colours, (H, W)."""
    return np.abs(pixels[:, :, None].astype(int) - COLOURS.astype(int)).sum(-1).argmin(-1).astype(np.uint8)
