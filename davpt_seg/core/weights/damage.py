"""Damage of files in torch's zip format, found by the checksums that torch writes and does not compare."""

from __future__ import annotations

import os
import re
import struct
import zipfile
import zlib
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import IO, Union

# What zipfile raises on an archive whose headers were changed: a flipped bit may claim encryption or another method.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, LookupError, MemoryError),
)
# The parts that torch compresses, of TorchScript alone. A small file with others could expand without limit.
COMPRESSED = re.compile(r"[^/]+/code/.*")
HEADER = 30  # bytes before the name of a part, at least
# Trained parameters shrink by 1.1 times, those of 16 bits written as 32 bits by 3 times; zeros by 1,000 times.
MOST_EXPANDED, SMALL = 20, 16 * 2**20


def is_zip(file: Union[str, Path, IO[bytes]]) -> bool:
    """Return whether a file, or what is open at its start, begins as a zip archive does, intact or not."""
    if isinstance(file, (str, Path)):
        with open(file, "rb") as opened:
            return opened.read(2) == b"PK"
    start = file.read(2)
    file.seek(0)
    return start == b"PK"


def zip_damage(file: Union[str, Path, IO[bytes]]) -> str:
    """Describe what is wrong with a zip archive; return nothing where it is intact.

    Reads a file once, and not again until it changes. What is open is left at its start.
    """
    if not isinstance(file, (str, Path)):
        found = _damage(file)
        file.seek(0)
        return found
    status = os.stat(file)
    return _damage_of_file(os.path.realpath(file), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _damage_of_file(path: str, size: int, modified: int, inode: int) -> str:
    return _damage(path)


def _damage(file: Union[str, IO[bytes]]) -> str:
    try:
        with zipfile.ZipFile(file) as archive:
            for part in archive.infolist():
                if part.compress_type != zipfile.ZIP_STORED and not COMPRESSED.fullmatch(part.filename):
                    return f"was packed again: its part {part.filename!r} is compressed, which torch never does"
            if overlapping := _overlapping(archive.infolist()):
                return f"is damaged: its part {overlapping!r} overlaps the one before"
            names = archive.namelist()
            broken = archive.testzip()
    except BROKEN as error:
        return f"is cut off or no checkpoint ({error})"
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice:
        return f"is damaged: its part {twice!r} is there twice"
    return f"is damaged: the checksum of its part {broken!r} is wrong" if broken else ""


def expansion(file: Union[str, Path]) -> str:
    """Describe a compressed zip archive that would fill the memory; return nothing for one that does not.

    Reads its directory alone. A part never gives more bytes than are declared there.

    Raises:
        BROKEN: it is no zip archive.
    """
    with zipfile.ZipFile(file) as archive:
        parts = archive.infolist()
    if overlapping := _overlapping(parts):
        return f"its part {overlapping!r} overlaps the one before"
    size, declared = os.path.getsize(file), sum(part.file_size for part in parts)
    if declared > max(SMALL, MOST_EXPANDED * size):
        return f"its {size:,} bytes expand to {declared:,}, and no weights shrink more than {MOST_EXPANDED} times"
    return ""


def _overlapping(parts: list[zipfile.ZipInfo]) -> str:
    """Return the name of a part that begins inside the one before. Python's own check is newer than 3.11.7."""
    end = 0
    for part in sorted(parts, key=lambda part: part.header_offset):
        if part.header_offset < end:
            return part.filename
        end = part.header_offset + HEADER + part.compress_size
    return ""
