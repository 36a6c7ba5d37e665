"""Names of image files."""

from __future__ import annotations

from pathlib import PurePath

from .errors import DataError

JPEG_SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif")
IMAGE_SUFFIXES = (*JPEG_SUFFIXES, ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")


def check_utf8(path: PurePath, where: str) -> None:
    """Refuse a path that no list, log or config can hold, such as one with umlauts from an old ZIP archive.

    Args:
        path: path of a file or folder.
        where: the data set's folder, for the message.

    Raises:
        DataError: the path is not UTF-8.
    """
    text = str(path)
    if not text.isascii() and any("\ud800" <= sign <= "\udfff" for sign in text):
        raise DataError(
            f"{where}: the name {text!r} is not UTF-8; rename it, or all at once: "
            "convmv -f latin1 -t utf8 -r --notest FOLDER"
        )
