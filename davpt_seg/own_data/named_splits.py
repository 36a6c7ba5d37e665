"""Splits that a folder states: by the names of its folders, or by list files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from ..errors import DataError, some
from ..image_names import IMAGE_SUFFIXES
from ..text_files import read_text
from .pair import Pair

SPLITS = ("train", "val", "test")
LISTS = "splits"  # folder of the lists that new-dataset writes


@dataclass
class Division:
    """Pairs by split, whose only key is empty if the folder has no splits; list files that set them; and notes."""

    pairs: dict[str, list[Pair]]
    lists: list[PurePath] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def divide(root: Path, pairs: Mapping[str, list[Pair]]) -> Division:
    """Divide pairs into splits: those of folders, of list files, or none.

    Args:
        root: the data set's folder.
        pairs: pairs by the split that their folder states; empty where it states none.

    Raises:
        DataError: an image is for training and for validation or test, or a line of a list fits several images.
    """
    if "train" in pairs and len(pairs) > 1 and "" not in pairs:
        return Division(dict(pairs))
    every = sorted(pair for each in pairs.values() for pair in each)
    unused = []
    for folder in _folders_of_lists(root):
        division = _of_lists(root, folder, every)
        if division.pairs:
            return division
        unused += division.notes
    others = list(pairs.get("", ()))
    if others and "train" in pairs and len(pairs) > 2:
        shown = some([pair.image.as_posix() for pair in others], 3)
        note = f"{len(others):,} images outside the folders of the splits are not used: {shown}"
        return Division({name: each for name, each in pairs.items() if name}, notes=[*unused, note])
    if others and "train" not in pairs and len(pairs) > 1:
        named = {name: each for name, each in pairs.items() if name}
        return Division({"train": others, **named}, notes=unused)
    return Division(dict(pairs) if "test" in pairs and len(pairs) > 1 else {"": every}, notes=unused)


def _of_lists(root: Path, folder: Path, pairs: Sequence[Pair]) -> Division:
    """Divide pairs by the lists of a folder; without pairs if a list names no image of ``pairs``."""
    named = _by_name(pairs)
    found, lists, lacking = {}, [], []
    for split in SPLITS:
        path = folder / f"{split}.txt"
        if not path.is_file():
            continue
        lists.append(PurePath(os.path.relpath(path, root)))
        entries = {line.strip(): _named(line, named, path) for line in read_text(path).splitlines() if line.strip()}
        lacking += [f"{line} ({path.name})" for line, pair in entries.items() if pair is None]
        found[split] = list(dict.fromkeys(pair for pair in entries.values() if pair is not None))
    if not all(found.get(split) for split in ("train", "val")):
        what = f"the lists in {os.path.relpath(folder, root)} are not used, since one names no image with a mask"
        return Division({}, notes=[what])
    train = set(found["train"])
    for split in ("val", "test"):
        both = [pair.image.as_posix() for pair in found.get(split, ()) if pair in train]
        if both:
            raise DataError(
                f"{root}: {len(both):,} images are in {folder / 'train.txt'} and in {split}.txt, for instance "
                f"{some(both, 3)}; an image may be in one of them only, since a score on training images says nothing"
            )
    notes = []
    if lacking:
        notes.append(f"{len(lacking):,} lines of the lists name no image with a mask: {some(lacking, 3)}")
    used = {pair for each in found.values() for pair in each}
    rest = [pair.image.as_posix() for pair in pairs if pair not in used]
    if rest:
        notes.append(f"{len(rest):,} images with masks are in no list and not used: {some(rest, 3)}")
    return Division({split: each for split, each in found.items() if each}, lists, notes)


def _by_name(pairs: Iterable[Pair]) -> dict[str, list[Pair]]:
    """Map each end of a path of an image or mask, with and without suffix, to the pairs that have it."""
    named: dict[str, list[Pair]] = {}
    for pair in pairs:
        paths = {pair.image, pair.mask, PurePath(pair.name)}
        paths |= {path.with_suffix("") for path in (pair.image, pair.mask)}
        for end in {"/".join(path.parts[at:]) for path in paths for at in range(len(path.parts))}:
            named.setdefault(end, []).append(pair)
    return named


def _named(line: str, named: Mapping[str, list[Pair]], where: Path) -> Pair | None:
    """Return the pair that a line of a list names; None if there is none.

    A line is a name or a path, with or without suffix, and perhaps further columns.

    Raises:
        DataError: several images have this name.
    """
    for text in _readings(line):
        parts = [part for part in text.replace("\\", "/").split("/") if part not in ("", ".")]
        for at in range(len(parts)):
            found = named.get("/".join(parts[at:]), [])
            if len(found) == 1:
                return found[0]
            if found:
                images = some([pair.image.as_posix() for pair in found])
                raise DataError(f"{where}: {text!r} may be {images}; write their paths in the list")
    return None


def _readings(line: str) -> Iterator[str]:
    """Yield a line, its first columns, and these without the suffix of an image.

    A blank divides columns only before a path, an image or a number, as of VOC: ``IMG (1)`` is a name.
    """
    columns = [line.strip(), line.split(",")[0].strip(), line.split("\t")[0].strip()]
    first, _, second = line.strip().partition(" ")
    second = second.strip()
    if "/" in second or second.lower().endswith(IMAGE_SUFFIXES) or re.fullmatch(r"-?\d+", second):
        columns.append(first)
    yield from columns
    yield from (text[: -len(PurePath(text).suffix)] for text in columns if text.lower().endswith(IMAGE_SUFFIXES))


def _folders_of_lists(root: Path) -> list[Path]:
    """Return the folders with a ``train.txt`` and a ``val.txt``; those of segmentation first, then the shortest."""
    there = [path.parent for path in root.rglob("train.txt") if (path.parent / "val.txt").is_file()]
    there = [folder for folder in there if folder != root / LISTS]  # those of new-dataset
    return sorted(there, key=lambda folder: ("egmentation" not in folder.name, len(folder.parts), str(folder)))
