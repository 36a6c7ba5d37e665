"""Folders below a folder, also behind links, and those that are hidden."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path, PurePath
from typing import Union

# Folders that programs make for themselves: macOS archives, Synology, Windows, waste bins, thumbnails.
MADE_BY_PROGRAMS = {"__macosx", "@eadir", "$recycle.bin", "#recycle", "thumbs", "thumbnails", ".thumbnails"}


def is_hidden(path: PurePath) -> bool:
    """Return whether a relative path is a hidden file, or lies in a hidden folder or one that a program made."""
    return any(
        part.startswith(".") or part.lower() in MADE_BY_PROGRAMS for part in path.parts if part not in (".", "..")
    )


def walk(root: Union[str, os.PathLike[str]], enter: Callable[[str, str], bool]) -> Iterator[tuple[str, list[str]]]:
    """Yield the path and the sorted names of files of a folder and of those below it.

    Links to folders are followed, but not to a folder above, and each folder is visited once: links in a circle end.

    Args:
        root: the first folder.
        enter: function of a folder's path and the name of a folder in it; whether the latter is visited.
    """
    first = Path(os.path.abspath(root))
    seen = {os.path.realpath(path) for path in (first, *first.parents)}
    for place, folders, names in os.walk(root, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = os.path.realpath(os.path.join(place, name))
            if real not in seen and enter(place, name):
                seen.add(real)
                kept.append(name)
        folders[:] = kept
        yield place, sorted(names)
