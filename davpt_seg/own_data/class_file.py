"""Names of classes, with colours where masks have them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from ..errors import InputError, some
from ..text_files import read_text

Colour = tuple[int, int, int]
VOID_NAMES = ("void", "unlabeled", "unlabelled", "ignore", "ignored")
FILES = (
    *("classes.txt", "label_colors.txt", "class_dict.csv"),  # found in the data set's folder
    *("labelmap.txt", "class_names.txt", "train/_classes.csv"),  # of CVAT, labelme and Roboflow
)
HEADER = re.compile(r"name\W+r\W+g\W+b\W*|r\W+g\W+b\W+name\W*|pixel value\W+class\W*", re.IGNORECASE)
CVAT = re.compile(r"([^:]+):(\d{1,3}),(\d{1,3}),(\d{1,3}):[^:]*:[^:]*")  # label:color_rgb:parts:actions
NUMBERED = re.compile(r"(\d{1,3})\s*[,:\t]\s*(\D.*)")  # 0, background


class Classes(NamedTuple):
    """Names of the C classes; their colours, one or more for each, or None; colours of void; and their source."""

    names: tuple[str, ...]
    colours: Optional[tuple[tuple[Colour, ...], ...]]
    void: tuple[Colour, ...]
    source: str


def given_classes(root: Path, names: Optional[str], file: Optional[str]) -> Optional[Classes]:
    """Return the classes that the user names, or those of a file in the folder.

    Args:
        root: the data set's folder; the first of ``FILES`` in it is read.
        names: value of ``--classes``, separated by commas.
        file: value of ``--classes-file``.

    Returns:
        The classes; None if they are named nowhere.

    Raises:
        InputError: both are given, or names are empty or repeated, or a file cannot be read.
    """
    if names is not None and file is not None:
        raise InputError("--classes and --classes-file both name the classes; omit one of them")
    if names is not None:
        return _checked([(name.strip(), None) for name in names.split(",")], "--classes")
    found = [root / name for name in FILES if (root / name).is_file()]
    if file is None and not found:
        return None
    path = Path(file).expanduser() if file is not None else found[0]
    try:
        lines = read_text(path).splitlines()
    except FileNotFoundError as error:
        raise InputError(f"--classes-file {path}: there is no such file; it has one class a line") from error
    lines = [line.split(" #")[0].removeprefix("- ").strip() for line in lines if not line.startswith("#")]
    lines = [line for line in lines if line and not HEADER.fullmatch(line)]
    return _checked([_row(line) for line in _without_numbers(lines, str(path))], str(path))


def _without_numbers(lines: Sequence[str], source: str) -> list[str]:
    """Return the names of lines that all begin with a class number, ``0, background``; other lines as they are.

    Raises:
        InputError: the numbers are not 0, 1, 2 and so on.
    """
    found = [NUMBERED.fullmatch(line) for line in lines]
    if not lines or not all(found):
        return list(lines)
    numbered = [(int(match[1]), match[2].strip()) for match in found if match]
    if [number for number, _ in numbered] != list(range(len(numbered))):
        raise InputError(f"{source}: lines are numbered {some([n for n, _ in numbered])}; expected are 0, 1, 2, ...")
    return [name for _, name in numbered]


def _row(line: str) -> tuple[str, Optional[Colour]]:
    """Return the name and the colour of a line: ``road``, ``road 128 64 128``, ``128 64 128 road`` or CVAT's."""
    numbers = r"(\d{1,3})[\s,;]+(\d{1,3})[\s,;]+(\d{1,3})"
    last, first = (
        re.fullmatch(rf"(.+?)[\s,;]+{numbers}\s*", line.strip()),
        re.fullmatch(rf"{numbers}[\s,;]+(.+)", line.strip()),
    )
    if last:
        name, *colour = last.groups()
    elif first:
        *colour, name = first.groups()
    elif cvat := CVAT.fullmatch(line):
        name, *colour = cvat.groups()
    else:
        return line.strip(), None
    red, green, blue = (int(value) for value in colour)
    return name.strip(" ,;\t"), (red, green, blue)


def _checked(rows: Sequence[tuple[str, Optional[Colour]]], source: str) -> Classes:
    with_colour = [row for row in rows if row[1] is not None]
    if with_colour and len(with_colour) < len(rows):
        lacking = next(name for name, colour in rows if colour is None)
        raise InputError(f"{source}: class {lacking!r} has no colour, but others have one; give all: NAME R G B")
    merged: dict[str, list[Colour]] = {}
    for name, colour in rows:
        if not name:
            raise InputError(f"{source}: an empty name; expected names separated by commas, or one a line")
        if name in merged and colour is None:
            raise InputError(f"{source}: {name!r} is named twice; each class has its own name")
        if colour is not None and max(colour) > 255:
            raise InputError(f"{source}: class {name!r} has the colour {colour}; expected values from 0 to 255")
        merged.setdefault(name, []).extend([] if colour is None else [colour])
    every = [colour for colours in merged.values() for colour in colours]
    twice = sorted({colour for colour in every if every.count(colour) > 1})
    if twice:
        raise InputError(f"{source}: two lines have the colour {twice[0]}; each colour is one class")
    void = tuple(c for name in merged if name.lower() in VOID_NAMES for c in merged[name]) if with_colour else ()
    kept = {name: colours for name, colours in merged.items() if not (with_colour and name.lower() in VOID_NAMES)}
    if len(kept) < 2:
        raise InputError(f"{source}: names {some(list(kept)) or 'no class'}; at least two classes are needed, "
                         "the background is one of them")  # fmt: skip
    colours = tuple(tuple(each) for each in kept.values()) if with_colour else None
    return Classes(tuple(kept), colours, void, source)
