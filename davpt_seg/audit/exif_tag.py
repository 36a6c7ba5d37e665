"""Change of an image file's Exif orientation to 1 (upright), in place, without decoding a pixel."""

from __future__ import annotations

import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

from ..datasets.pictures import ORIENTATION, read_picture
from ..errors import DataError
from ..replacing import replacing

PNG = b"\x89PNG\r\n\x1a\n"
SHORT = 3  # the TIFF type of the tag's value


class _Block(NamedTuple):
    """Where a file holds Exif data (a TIFF header with its directories), and the PNG chunk around it, if any."""

    start: int
    end: int
    chunk: Optional[int] = None


def drop_orientation(path: str) -> None:
    """Set the orientation tag of an image file to 1; no other byte changes, except a PNG chunk's checksum.

    The file is replaced by a complete new one, after their stored pixels were compared (not for TIFF, which Pillow
    turns itself).

    Raises:
        DataError: no Exif orientation is found where JPEG, PNG, WebP and TIFF have it, or pixels would change.
    """
    content = bytearray(Path(path).read_bytes())
    changed = [block for block in _exif_blocks(content) if _set_upright(content, block)]
    if not changed:
        raise DataError(f"{path}: no Exif orientation tag was found that could be set; use exiftool -Orientation=")
    for block in changed:
        if block.chunk is not None:
            struct.pack_into(">I", content, block.end, zlib.crc32(content[block.chunk : block.end]))
    try:
        _replace(path, content)
    except OSError as error:
        raise DataError(f"{path}: its orientation tag cannot be set: {error}") from error


def _replace(path: str, content: bytearray) -> None:
    """Replace the file by a complete new one, after their pixels were compared."""
    kind = read_picture(path, decode=False).format
    with replacing(path) as part:
        part.write_bytes(content)
        if read_picture(str(part), decode=False).turned or (kind != "TIFF" and not _same_pixels(path, str(part))):
            raise DataError(f"{path}: its tag could not be set without changing its pixels; use exiftool -Orientation=")
        shutil.copystat(path, part)


def _same_pixels(first: str, second: str) -> bool:
    with Image.open(first) as one, Image.open(second) as other:
        return np.array_equal(np.asarray(one), np.asarray(other))


def _exif_blocks(content: bytearray) -> Iterator[_Block]:
    """Find the Exif data of a JPEG, PNG, WebP or TIFF file."""
    if content[:2] == b"\xff\xd8":
        yield from _jpeg_blocks(content)
    elif content[:8] == PNG:
        for name, start, end in _chunks(content, 8, ">I4s", length_first=True):
            if name == b"eXIf":
                yield _Block(start, end, start - 4)
    elif content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        for name, start, end in _chunks(content, 12, "<4sI", length_first=False):
            if name == b"EXIF":
                yield _Block(start + 6 * (content[start : start + 6] == b"Exif\0\0"), end)
    elif content[:4] in (b"II*\0", b"MM\0*"):
        yield _Block(0, len(content))


def _jpeg_blocks(content: bytearray) -> Iterator[_Block]:
    at = 2
    while at + 4 <= len(content) and content[at] == 0xFF and content[at + 1] not in (0xDA, 0xD9):
        if content[at + 1] == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = struct.unpack_from(">H", content, at + 2)
        if content[at + 1] == 0xE1 and content[at + 4 : at + 10] == b"Exif\0\0":
            yield _Block(at + 10, at + 2 + length)
        at += 2 + length


def _chunks(content: bytearray, at: int, head: str, length_first: bool) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the data of each chunk of a PNG or RIFF file."""
    while at + 8 <= len(content):
        first, second = struct.unpack_from(head, content, at)
        length, name = (first, second) if length_first else (second, first)
        yield name, at + 8, min(at + 8 + length, len(content))
        at += 8 + length + (4 if length_first else length % 2)  # a checksum, or a padding byte


def _set_upright(content: bytearray, block: _Block) -> bool:
    """Write 1 into the orientation entry of the first directory; False if there is none."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(content[block.start : block.start + 2]))
    if order is None or block.start + 8 > block.end:
        return False
    (offset,) = struct.unpack_from(order + "I", content, block.start + 4)
    directory = block.start + offset
    if directory + 2 > block.end:
        return False
    (entries,) = struct.unpack_from(order + "H", content, directory)
    for i in range(entries):
        entry = directory + 2 + 12 * i
        if entry + 12 > block.end:
            return False
        tag, kind, count = struct.unpack_from(order + "HHI", content, entry)
        if (tag, kind, count) == (ORIENTATION, SHORT, 1):
            struct.pack_into(order + "H", content, entry + 8, 1)
            return True
    return False
