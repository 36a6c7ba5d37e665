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
from typing import Union

# What zipfile raises on an archive whose headers were changed: a flipped bit may claim encryption or another method.
BROKEN = (
    *(zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(NotImplementedError, RuntimeError, ValueError, LookupError, MemoryError),
)
# Parts that torch.save never compresses: a small file could expand without limit.
STORED = re.compile(r"[^/]+/data(?:\.pkl|/\d+)")


def is_zip(path: Union[str, Path]) -> bool:
    """Return whether a file begins as a zip archive does, intact or not."""
    with open(path, "rb") as file:
        return file.read(2) == b"PK"


def zip_damage(path: Union[str, Path]) -> str:
    """Describe what is wrong with a zip archive; return nothing where it is intact.

    Reads the file once, and not again until it changes.
    """
    status = os.stat(path)
    return _zip_damage(os.path.realpath(path), status.st_size, status.st_mtime_ns, status.st_ino)


@lru_cache(maxsize=64)
def _zip_damage(path: str, size: int, modified: int, inode: int) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            for part in archive.infolist():
                if part.compress_type != zipfile.ZIP_STORED and STORED.fullmatch(part.filename):
                    return f"was packed again: its part {part.filename!r} is compressed, which torch never does"
            names = archive.namelist()
            broken = archive.testzip()
    except BROKEN as error:
        return f"is cut off or no checkpoint ({error})"
    twice = next((name for name, count in Counter(names).items() if count > 1), None)
    if twice:
        return f"is damaged: its part {twice!r} is there twice"
    return f"is damaged: the checksum of its part {broken!r} is wrong" if broken else ""
