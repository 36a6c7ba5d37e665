"""Image files, read completely or only their headers."""

from __future__ import annotations

import hashlib
import os
import re
import struct
import warnings
import zlib
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional, Union

import numpy as np
from PIL import Image, UnidentifiedImageError

# Errors of Pillow for files that are truncated or no image.
UNREADABLE = (OSError, SyntaxError, ValueError, EOFError, struct.error, Image.DecompressionBombError)
TILES = "cut image and mask into tiles, or make both smaller"
PNG, JPEG, TIFF = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
KNOWN = (PNG, JPEG, *TIFF, b"BM", b"RIFF", b"GIF8")  # starts of images that OpenCV and Pillow read
IEND, EOI = b"\0\0\0\0IEND\xaeB`\x82", b"\xff\xd9"  # ends of a PNG and of a JPEG
NO_IMAGES = {  # starts of files that are often in the place of an image
    b"version https://git-lfs": "it is a pointer of Git LFS, not the image: run 'git lfs pull'",
    **dict.fromkeys((b"<!doctype", b"<html"), "it is a web page, not an image: download it again"),
    b"<?xml": "it is XML (perhaps SVG), not an image: convert it",
    b"pk\x03\x04": "it is a ZIP archive, not an image: unpack it",
}
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


def ignore_large() -> None:
    """Omit Pillow's warnings of images that it reads, though they are large."""
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)


def too_large(error: Exception) -> bool:
    """Return whether Pillow refuses an image for its number of pixels, which protects the memory."""
    return isinstance(error, Image.DecompressionBombError)


def why_unreadable(error: Exception, source: Union[str, bytes]) -> str:
    """Describe why an image cannot be read, and what to do.

    Args:
        error: one of ``UNREADABLE``, or of another library.
        source: path, or content of the file.
    """
    start = source if isinstance(source, bytes) else _start(source)
    text = " ".join(str(error).split()) or type(error).__name__
    if too_large(error):
        found = re.search(r"\d{8,}", text)
        count = f"{int(found[0]):,}" if found else "too many"
        return f"it has {count} pixels, and Pillow reads at most {_most_pixels():,}: {TILES}"
    if (isinstance(source, bytes) and not source) or (isinstance(source, str) and _is_empty(source)):
        return "the file is empty: get it again"
    for known, meaning in NO_IMAGES.items():
        if start.lower().startswith(known):
            return meaning
    if start.startswith(PNG) and len(start) >= 24 and not all(struct.unpack(">II", start[16:24])):
        return "it has no pixels: make it again"
    if "CV_IO_MAX_IMAGE_PIXELS" in str(error):
        return f"it has more pixels than the {2**30:,} that OpenCV reads: {TILES}"
    if isinstance(error, UnidentifiedImageError) and start.startswith(TIFF):
        return "it is a TIFF of a kind that Pillow does not read, for instance with 64 bits: write it with 8 or 16"
    if "truncated" in text.lower():
        return "it is truncated (cut off): get it again"
    if isinstance(error, (UnidentifiedImageError, AssertionError)) or "OpenCV" in str(error):  # mmcv asserts
        return f"it is {'cut off or damaged' if start.startswith(KNOWN) else 'no image'}: get it again"
    return text.partition(" <")[0]  # without the address of Pillow's buffer


def _most_pixels() -> int:
    return 2 * (Image.MAX_IMAGE_PIXELS or 0)


def _start(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(64)
    except (OSError, ValueError):
        return b""


def _is_empty(path: str) -> bool:
    return os.path.isfile(path) and os.path.getsize(path) == 0


def looks_damaged(path: str) -> bool:
    """Return whether a JPEG or PNG file has no end, or a file is no image at all; only a few bytes are read.

    A file with other bytes after its end looks so, too: decoding it shows the difference.
    """
    try:
        with open(path, "rb") as file:
            start = file.read(64)
            if start.lower().startswith(tuple(NO_IMAGES)):
                return True
            if not start.startswith((PNG, JPEG)):
                return False
            file.seek(-min(len(IEND), os.path.getsize(path)), os.SEEK_END)
            end = file.read()
    except OSError:
        return False
    return end != IEND if start.startswith(PNG) else not end.endswith(EOI)


Headers = Mapping[str, Optional[Picture]]  # by path; None for a file that Pillow cannot read


def read_picture(path: str, decode: bool) -> Picture:
    """Read an image file, or only its header.

    Raises:
        OSError, SyntaxError, ValueError, EOFError, struct.error: the file cannot be read (``UNREADABLE``).
    """
    with Image.open(path) as image:
        bits, mode = stored_bits(image), stored_mode(image)  # before anything decodes pixels
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
        return Picture(size, mode, orientation or 1, values, kind, tag if orientation else "", palette, bits)


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


def stored_mode(image: Image.Image) -> str:
    """Return Pillow's mode of an image that was just opened, and LA for gray of 16 bits with alpha (mode RGBA)."""
    arguments = _encoding(image)
    return "LA" if arguments and str(arguments[0]).startswith("LA;16") else image.mode


def _encoding(image: Image.Image) -> tuple[Any, ...]:
    """Return Pillow's description of a file's pixels, until they are decoded."""
    tile = getattr(image, "tile", None)
    arguments = tile[0].args if tile else ()
    return arguments if isinstance(arguments, tuple) else (arguments,)


def stored_bits(image: Image.Image) -> int:
    """Return the stored bits per channel of an image that was just opened.

    Pillow's mode does not show them: colours of 16 bits have mode RGB and are read with 8.
    """
    if image.format == "TIFF":
        return max(image.tag_v2.get(BITS_PER_SAMPLE, (1,)))  # type: ignore[attr-defined]
    arguments = _encoding(image)
    if image.format == "PPM" and any(isinstance(most, int) and most > 255 for most in arguments):
        return 16
    if image.format == "PNG" and arguments:
        bits = re.search(r";(\d+)", str(arguments[0]))  # "RGB;16B", "L;4"
        return int(bits[1]) if bits else 8
    return 16 if image.mode.startswith("I;16") else 32 if image.mode in ("I", "F") else 8
