"""Image files of a folder, grouped by folder and ending: ``masks/*_gt.png`` is one group."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path, PurePath

import numpy as np
from PIL import Image

from ..datasets.pictures import UNREADABLE
from ..datasets.walking import is_hidden, walk
from ..image_names import IMAGE_SUFFIXES, JPEG_SUFFIXES

INDEX_MASKS = "index_masks"  # folder of the masks that new-dataset writes
OVERLAYS = "_overlays.png"  # end of the name of its figure
MASK_NAME = re.compile(r"mask|label|annot|seg|gt|truth|index", re.IGNORECASE)
MOST_COLOURS = 256  # of a mask, in a sample of its pixels
SAMPLE = 3  # files of a group that are opened
ENDING = re.compile(r"[_\-. ][A-Za-z][\w\-. ]*$")


@dataclass(frozen=True)
class Group:
    """Files of one folder with one ending.

    ``folder`` is relative to the data set's folder; ``ending`` is the end of the names without the suffix, ``_mask`` or
    empty; ``files`` maps the names without ending and suffix to paths relative to the data set's folder.
    """

    folder: PurePath
    ending: str
    files: dict[str, PurePath]

    @property
    def title(self) -> str:
        """Describe the group: ``images/*_left.jpg``."""
        suffixes = sorted({path.suffix for path in self.files.values()})
        return (self.folder / f"*{self.ending}{'|'.join(suffixes)}").as_posix()

    def is_named_mask(self) -> bool:
        """Return whether the folder or the ending sounds like masks."""
        return bool(MASK_NAME.search(self.ending) or MASK_NAME.search(self.folder.as_posix()))


def image_files(root: Path) -> list[PurePath]:
    """List the image files below a folder, relative to it, sorted, without hidden ones and those of new-dataset.

    Links to folders are followed.
    """

    def enter(place: str, name: str) -> bool:
        return not is_hidden(PurePath(name)) and not (name == INDEX_MASKS and place == str(root))

    found = []
    for place, names in walk(root, enter):
        here = PurePath(os.path.relpath(place, root))
        for name in names:
            path = here / name
            wanted = path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(PurePath(name))
            if wanted and not name.endswith(OVERLAYS):
                found.append(path)
    return sorted(found)


def groups_of(files: Iterable[PurePath]) -> list[Group]:
    """Group files by folder and ending.

    A folder with ``a.jpg`` and ``a.png``, with ``a.png`` and ``a_mask.png``, or with ``a_img.png`` and ``a_mask.png``,
    for most names ``a``, gives two groups.
    """
    folders: dict[PurePath, list[PurePath]] = {}
    for path in files:
        folders.setdefault(path.parent, []).append(path)
    stems = {path.stem for paths in folders.values() for path in paths}
    endings = Counter(match[0] for stem in stems if (match := ENDING.search(stem)))
    repeated = {ending for ending, count in endings.items() if count > 1}
    found = []
    for folder, paths in sorted(folders.items()):
        for ending, members in _within(paths, repeated):
            found.append(Group(folder, ending, {_core(path, ending): path for path in members}))
    return found


def _within(paths: list[PurePath], repeated: set[str]) -> list[tuple[str, list[PurePath]]]:
    """Divide the files of one folder by ending, and by suffix where names occur with two suffixes.

    ``repeated`` holds the endings of several names in all folders: others are parts of a name in a small folder.
    """
    stems = {path.stem for path in paths}
    endings = Counter(match[0] for stem in stems if (match := ENDING.search(stem)))
    beside = Counter(
        stem[cut:]
        for stem in stems
        for cut in range(1, len(stem))
        if stem[cut] in "_-. " and stem[:cut] in stems and ENDING.match(stem[cut:])
    )
    common = {ending for ending, count in beside.items() if count >= len(stems) / 4}
    common |= {ending for ending, count in endings.items() if count >= len(stems) / 4 and ending in repeated}
    divided: dict[str, list[PurePath]] = {}
    for path in paths:
        own = max((ending for ending in common if path.stem.endswith(ending)), key=len, default="")
        divided.setdefault(own, []).append(path)
    found = []
    for ending, members in sorted(divided.items()):
        suffixes = sorted({path.suffix for path in members})
        by_suffix = {suffix: [path for path in members if path.suffix == suffix] for suffix in suffixes}
        if len({path.stem for path in members}) == len(members):
            found.append((ending, members))
        else:
            found += [(ending, same) for same in by_suffix.values()]
    return found


def _core(path: PurePath, ending: str) -> str:
    return path.stem[: -len(ending)] if ending else path.stem


def colours_of(root: Path, group: Group) -> float:
    """Return the largest number of colours in the first, middle and last file of a group, in a sample of pixels.

    It is infinite for JPEG files and photographs, which are no masks.
    """
    paths = list(group.files.values())
    chosen = [paths[int(at)] for at in np.linspace(0, len(paths) - 1, min(SAMPLE, len(paths)))]
    return max(_colours_in(root / path) for path in chosen)


def _colours_in(path: Path) -> float:
    if path.suffix.lower() in JPEG_SUFFIXES:
        return math.inf
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except UNREADABLE:
        return math.inf
    step = max(1, int((pixels.shape[0] * pixels.shape[1] / 250_000) ** 0.5))
    pixels = pixels[::step, ::step]
    flat = pixels.reshape(-1, pixels.shape[2]) if pixels.ndim == 3 else pixels.reshape(-1, 1)
    colours = len(np.unique(flat, axis=0))
    return colours if colours <= MOST_COLOURS and colours <= max(2, len(flat) / 16) else math.inf
