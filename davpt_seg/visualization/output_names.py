"""Names of output files: short, distinct on every disk, and never outside the output folder."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path


def output_names(paths: Iterable[str]) -> dict[str, str]:
    """Return a relative output name for each file, without the output's suffix.

    A name is the file's name without suffix. If files of several folders share one, all names keep the same number of
    folders, the smallest that distinguishes them. Files of one folder that share one keep their suffix; names that
    differ only by case get a number, because some disks ignore case.

    Args:
        paths: files; a file that is given twice has one name.

    Returns:
        Name by path, with ``/`` between folders; no part of it is ``..``.
    """
    files = {path: _File(path) for path in dict.fromkeys(paths)}
    distinct = {(file.folder, file.name): file for file in files.values()}  # one file for all spellings of its path
    depth, clashes = 0, True
    while clashes:
        same: dict[str, list[_File]] = defaultdict(list)
        for file in distinct.values():
            same[_folded(file.output(depth))].append(file)
        groups = [group for group in same.values() if len(group) > 1]
        for group in groups:
            _tell_apart(group)
        clashes = bool(groups)
        depth += any(len({_folded(file.folder) for file in group}) > 1 for group in groups)
    return {path: distinct[file.folder, file.name].output(depth) for path, file in files.items()}


class _File:
    """File, and the part of its name that its output keeps."""

    def __init__(self, path: str) -> None:
        folder, self.name = os.path.split(os.path.abspath(path))
        self.folder = os.path.realpath(folder)  # a link to a file keeps its name, which users know
        self.with_suffix, self.number = False, ""

    def output(self, depth: int) -> str:
        """Return the name after the last ``depth`` folders."""
        folders = Path(self.folder).parts[1:]
        name = self.name if self.with_suffix else os.path.splitext(self.name)[0]
        return "/".join([*folders[max(0, len(folders) - depth) :], name + self.number])


def _folded(name: str) -> str:
    """Return a key that is equal for names that some disks do not distinguish: macOS and Windows ignore case."""
    return unicodedata.normalize("NFC", name).casefold()


def _tell_apart(group: Sequence[_File]) -> None:
    """Keep the suffixes of files of one folder whose outputs have the same name, or number them."""
    folders: dict[str, list[_File]] = defaultdict(list)
    for file in group:
        folders[_folded(file.folder)].append(file)
    for together in (files for files in folders.values() if len(files) > 1):
        if all(file.with_suffix for file in together):
            for number, file in enumerate(sorted(together, key=lambda file: (file.folder, file.name))[1:], start=2):
                file.number += f"~{number}"
        for file in together:
            file.with_suffix = True
