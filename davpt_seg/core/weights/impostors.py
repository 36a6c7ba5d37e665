"""What a download or a slip of the hand leaves in the place of weights, known by its first bytes."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import IO, Union

LENGTH = 64  # bytes that are looked at
AGAIN = "not weights; open it to see why, and download again"
TEXTS = {
    "version https://git-lfs": "is a Git LFS pointer, not the weights; fetch them with: git lfs pull",
    "<": f"is a web page, {AGAIN}",
    "{": f"is a JSON text, {AGAIN}",
}
COMPRESSED = "is compressed by {}; unpack it, and give the file inside"
BINARIES = {
    b"\x1f\x8b": COMPRESSED.format("gzip"),
    b"BZh": COMPRESSED.format("bzip2"),
    b"\xfd7zXZ": COMPRESSED.format("xz"),
    b"\x28\xb5\x2f\xfd": COMPRESSED.format("zstd"),
    b"7z\xbc\xaf": COMPRESSED.format("7-Zip"),
    b"Rar!": COMPRESSED.format("RAR"),
    b"\x89PNG": "is an image, not weights",
    b"\xff\xd8\xff": "is an image, not weights",
    b"\x89HDF": "is an HDF5 file, as Keras writes them; no format of it is read",
}


def impostor(file: Union[str, Path, IO[bytes]]) -> str:
    """Describe a file that is something else than weights; return nothing where it may be weights.

    Reads its first bytes. What is open must be at its start, and is left there.
    """
    if isinstance(file, (str, Path)):
        with open(file, "rb") as opened:
            return _kind(opened.read(LENGTH))
    start = file.read(LENGTH)
    file.seek(0)
    return _kind(start)


def _kind(start: bytes) -> str:
    known = next((what for bytes_, what in BINARIES.items() if start.startswith(bytes_)), "")
    if known or not start:
        return known
    text = codecs.getincrementaldecoder("utf-8-sig")(errors="replace").decode(start).strip()
    if "\ufffd" in text or not all(letter.isprintable() or letter.isspace() for letter in text):
        return ""
    shown = text.splitlines()[0][:40] if text else ""
    return next((what for start_, what in TEXTS.items() if text.startswith(start_)), f"is a text ({shown!r}), {AGAIN}")
