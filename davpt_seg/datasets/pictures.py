"""Image files, read completely or only their headers."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import zlib
from collections.abc import Mapping
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

# Errors of Pillow for files that are truncated or no image.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
BITS_PER_SAMPLE = 258  # of a TIFF
ORIENTATION = 0x0112  # the Exif tag; 1 is upright
TURNS = range(2, 9)  # orientations that change pixels; those from 5 on swap width and height
WIDTH, HEIGHT = 256, 257  # TIFF tags
TAIL = 2**16  # bytes; Exif data in a JPEG are no longer


class Picture(NamedTuple):
    """Image file.

    ``size`` is (width, height) as stored, ``orientation`` the Exif tag's value (1 without tag), ``tag`` the metadata
    that hold it: ``exif``, or ``other``, such as XMP, which Pillow reads and OpenCV does not. ``values`` are the
    decoded pixels (H, W, ...) and ``palette`` the colours (N, 3) of mode P, if they were read. ``bits`` is the number
    of stored bits per channel.
    """

    size: tuple[int, int]
    mode: str
    orientation: int
    values: Optional[np.ndarray]
    format: str = ""
    tag: str = ""
    palette: Optional[np.ndarray] = None
    bits: int = 8

    @property
    def content(self) -> str:
        """Return a digest of the decoded pixels, equal for copies with other names or in other lossless formats."""
        digest = hashlib.blake2b(f"{self.mode} {self.size}".encode(), digest_size=16)
        for array in (self.values, self.palette):
            if array is not None:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    @property
    def turned(self) -> bool:
        """Return whether the metadata turn or mirror the stored pixels."""
        return self.orientation in TURNS

    @property
    def upright_size(self) -> tuple[int, int]:
        """Return (width, height) after turning."""
        return self.size[::-1] if self.orientation >= 5 and self.turned else self.size


Headers = Mapping[str, Optional[Picture]]  # by path; None for a file that Pillow cannot read


def read_picture(path: str, decode: bool) -> Picture:
    """Read an image file, or only its header.

    Raises:
        OSError, SyntaxError, ValueError, EOFError, struct.error: the file cannot be read (``UNREADABLE``).
    """
    with Image.open(path) as image:
        bits = stored_bits(image)  # before anything decodes pixels
        kind, size = image.format or "", image.size
        if kind == "TIFF":  # Pillow gives the size after turning
            tags = image.tag_v2  # type: ignore[attr-defined]
            size, orientation, tag = (
                (tags.get(WIDTH, size[0]), tags.get(HEIGHT, size[1])),
                tags.get(ORIENTATION),
                "exif",
            )
        else:
            orientation, tag = _orientation(path, image)
        values = np.asarray(image) if decode else None
        colours = image.getpalette() if decode and image.mode == "P" else None
        palette = None if colours is None else np.array(colours, np.uint8).reshape(-1, 3)
        return Picture(size, image.mode, orientation or 1, values, kind, tag if orientation else "", palette, bits)


def _orientation(path: str, image: Image.Image) -> tuple[Optional[int], str]:
    """Return the orientation tag and its place without decoding pixels, unlike ``PngImageFile.getexif``."""
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or (_png_exif(path) if image.format == "PNG" else b""))
    except (SyntaxError, struct.error):  # damaged Exif data turn nothing
        return None, ""
    if ORIENTATION in exif:
        return exif[ORIENTATION], "exif"
    return Image.Image.getexif(image).get(ORIENTATION), "other"


def _png_exif(path: str) -> bytes:
    """Return the eXIf chunk of a PNG file if it follows the pixels; only the last 64 KiB are read."""
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - TAIL))
        tail = file.read()
    at = tail.rfind(b"eXIf")
    while at >= 4:
        end = at + 4 + int.from_bytes(tail[at - 4 : at], "big")
        if tail[end : end + 4] == zlib.crc32(tail[at:end]).to_bytes(4, "big"):
            return tail[at + 4 : end]
        at = tail.rfind(b"eXIf", 0, at)
    return b""


def stored_bits(image: Image.Image) -> int:
    """Return the stored bits per channel of an image that was just opened.

    Pillow's mode does not show them: colours of 16 bits have mode RGB and are read with 8.
    """
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined]
    tile = getattr(image, "tile", None)  # the file's encoding, until it is decoded
    arguments = tile[0].args if tile else ()
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    if image.format == "PPM" and any(isinstance(most, int) and most > 255 for most in arguments):
        return 16
    if image.format == "PNG" and arguments:
        bits = re.search(r";(\d+)", str(arguments[0]))  # "RGB;16B", "L;4"
        return int(bits[1]) if bits else 8
    return 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8
