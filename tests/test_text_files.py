"""Text in UTF-8 is read, with or without a byte-order mark; every other file is refused by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from davpt_seg.errors import DataError
from davpt_seg.text_files import read_json, read_text

TEXT = "images/0001\nstra\N{LATIN SMALL LETTER SHARP S}e/0002\n\N{CJK UNIFIED IDEOGRAPH-4E2D}\n"


@pytest.mark.parametrize("text", [TEXT, "", "a", "\n", "a\r\nb\r\n", "\N{CJK UNIFIED IDEOGRAPH-4E2D}" * 600])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_utf_8_is_read_as_if_a_byte_order_mark_were_not_there(text: str, encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(text.encode(encoding))
    assert read_text(path) == text


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_text_of_two_bytes_a_letter_is_named_with_a_command_that_converts_it(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(TEXT.encode(encoding))
    with pytest.raises(DataError, match=r"list\.txt is text in UTF-\d\d.*, not in UTF-8: .*iconv -f UTF-") as refused:
        read_text(path)
    named = str(refused.value).partition("iconv -f ")[2].split()[0]
    assert path.read_bytes().decode(named) == TEXT  # so the command does what it says


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a\nstra\N{LATIN SMALL LETTER SHARP S}e".encode("latin-1"), "is not in UTF-8: line 2 holds the byte 0xdf"),
        (b"\0\1\2", "is a binary file: line 1 holds the byte 0x00"),
        (b"a\nb\0", "is a binary file: line 2 holds the byte 0x00"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is a binary file"),
        (bytes(range(256)) * 20, "is a binary file"),
        (bytes(5000), "is a binary file"),
    ],
)
def test_other_bytes_are_named_with_their_line(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"list\.txt is ") as refused:
        read_text(path)
    assert says in str(refused.value)


def test_a_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot be read \(Is a directory\)"):
        read_text(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[" * 100_000, "its brackets nest too deep"),
        ('{"a":' * 100_000, "its brackets nest too deep"),
        ('{"a.jpg": 1, "b.jpg": 2, "a.jpg": 3}', "list.json holds 'a.jpg' twice"),
        ("9" * 5000, "is no JSON: Exceeds the limit"),
        ("{", "is no JSON: Expecting property name"),
        ("", "is no JSON: Expecting value"),
    ],
)
def test_json_that_cannot_be_read_is_named(text: str, says: str, tmp_path: Path) -> None:
    path = tmp_path / "list.json"
    path.write_text(text)
    with pytest.raises(DataError, match=r"list\.json (is no JSON|holds)") as refused:
        read_json(path)
    assert says in str(refused.value)
