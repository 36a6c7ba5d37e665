"""Text files of users: UTF-8 with or without a byte-order mark; other encodings are refused by name."""

from __future__ import annotations

import codecs
import json
import os
import re
from pathlib import Path
from typing import Any, Union

from .errors import DataError

MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",  # after UTF-32's, which starts with it
    codecs.BOM_UTF16_BE: "UTF-16",
}
SAMPLE = 1024  # bytes that show UTF-16 without a mark
CONTROLS = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")  # bytes that no text has


def read_text(path: Union[str, os.PathLike[str]]) -> str:
    """Read a text file in UTF-8, without its byte-order mark.

    Raises:
        DataError: a folder, a file that may not be read, another encoding, or a binary file.
        FileNotFoundError: no file.
    """
    try:
        content = Path(path).read_bytes()
    except (IsADirectoryError, PermissionError) as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); give a text file in UTF-8") from error
    return as_text(content, path)


def as_text(content: bytes, path: object) -> str:
    """Return the text of a file's bytes, without the byte-order mark.

    Args:
        content: bytes of a file, or of its first lines.
        path: for messages.

    Raises:
        DataError: another encoding than UTF-8, or bytes that are no text.
    """
    problem = _encoding_problem(content)
    if problem:
        raise DataError(f"{path} {problem}")
    return content.decode("utf-8-sig")


def has_mark(path: Union[str, os.PathLike[str]]) -> bool:
    """Return whether a file starts with UTF-8's byte-order mark."""
    with open(path, "rb") as file:
        return file.read(len(codecs.BOM_UTF8)) == codecs.BOM_UTF8


def _encoding_problem(content: bytes) -> str:
    """Describe why bytes are no text in UTF-8, and what to do; empty if they are."""
    mark = next((name for start, name in MARKS.items() if content.startswith(start)), "")
    mark = mark or _unmarked(content[:SAMPLE])
    if mark:
        return f"is text in {mark}, not in UTF-8: {_convert(mark)}"
    found = CONTROLS.search(content)
    if found:
        line = content.count(b"\n", 0, found.start()) + 1
        return f"is a binary file: line {line} holds the byte 0x{found[0].hex()}; give a text file in UTF-8"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        line, byte = content.count(b"\n", 0, error.start) + 1, content[error.start]
        return (
            f"is not in UTF-8: line {line} holds the byte 0x{byte:02x}. If it is in Latin-1 or Windows-1252: "
            f"{_convert('WINDOWS-1252')}"
        )
    return ""


def _unmarked(head: bytes) -> str:
    """Return the name of UTF-16 if the first bytes of a file are text in it, without a mark; else an empty text."""
    for name, zeros in (("UTF-16LE", head[1::2]), ("UTF-16BE", head[::2])):
        text = head[: len(head) // 2 * 2].decode(name, "replace")
        if text and 2 * zeros.count(0) > len(zeros) and not CONTROLS.search(text.encode()):
            return name
    return ""


def _convert(encoding: str) -> str:
    return f"save it as UTF-8 in the editor, or: iconv -f {encoding} -t UTF-8 FILE > NEW"


def read_json(path: Union[str, os.PathLike[str]]) -> Any:
    """Read a JSON file in UTF-8.

    Raises:
        DataError: another encoding, no JSON, a key twice, or brackets that nest too deep.
        FileNotFoundError: no file.
    """
    return parse_json(read_text(path), path)


def parse_json(text: str, what: object) -> Any:
    """Return the value of a JSON text.

    Args:
        text: JSON.
        what: file, and line if it has lines, for messages.

    Raises:
        DataError: no JSON, a key twice, brackets that nest too deep, or a number with too many digits.
    """
    try:
        return json.loads(text, object_pairs_hook=_once)
    except DataError as error:
        raise DataError(f"{what} {error}") from error
    except RecursionError as error:
        raise DataError(f"{what} is no JSON that can be read: its brackets nest too deep") from error
    except ValueError as error:  # of JSON, and of integers with thousands of digits
        raise DataError(f"{what} is no JSON: {error}") from error


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise DataError(f"holds {name[:200]!r} twice")
        found[name] = value
    return found
