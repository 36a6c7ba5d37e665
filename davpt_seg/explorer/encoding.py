"""Arrays and images as texts of JSON, for the explorer's page."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image

LARGEST = np.iinfo(np.uint16).max


def image_url(pixels: np.ndarray, kind: str = "JPEG") -> str:
    """Return an image (H, W, 3) uint8 RGB as a data URL.

    Args:
        pixels: RGB image.
        kind: ``JPEG`` for photographs, ``PNG`` for painted labels.
    """
    file = io.BytesIO()
    options = dict(quality=85) if kind == "JPEG" else dict(optimize=True)
    Image.fromarray(pixels).save(file, kind, **options)
    return f"data:image/{kind.lower()};base64,{_text(file.getvalue())}"


def quantised(values: np.ndarray) -> dict[str, object]:
    """Return values of 0 or more with 16 bits each.

    Returns:
        ``scale``, the largest value, and ``values``, base64 of little-endian integers; a value is its integer times
        scale / 65535.
    """
    scale = float(values.max(initial=0.0))
    steps = np.rint(values * (LARGEST / scale)) if scale else np.zeros_like(values)
    return dict(scale=scale, values=_text(steps.astype("<u2").tobytes()))


def integers(values: np.ndarray) -> str:
    """Return integers of 0 to 65535 as base64 of little-endian integers of 16 bits."""
    return _text(values.astype("<u2").tobytes())


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
