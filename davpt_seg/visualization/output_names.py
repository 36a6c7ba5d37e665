"""Names of output files: short, distinct on every disk, and never outside the output folder."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path


def output_names(paths: Iterable[str]) -> dict[str, str]:
    """Return a relative name, without an output's own suffix, for what is made of each file.

    A name is the file's own, without suffix. Where files of several folders share one, all names keep the same number
    of folders, the smallest that tells them apart. Files of one folder that share one keep their suffix; what differs
    by case alone gets a number, since not every disk knows case.

    Args:
        paths: files; one that is given twice has one name.

    Returns:
        Name by path, with ``/`` between folders; no part of it is ``..``.
    """
    files = {path: _File(path) for path in dict.fromkeys(paths)}
    distinct = {(file.folder, file.name): file for file in files.values()}  # one file, however its path is spelled
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
    """A file, and how much of its name its output keeps."""

    def __init__(self, path: str) -> None:
        folder, self.name = os.path.split(os.path.abspath(path))
        self.folder = os.path.realpath(folder)  # a link to a file keeps its own name, which is the one that users know
        self.with_suffix, self.number = False, ""

    def output(self, depth: int) -> str:
        """Return the name with the last ``depth`` folders before it."""
        folders = Path(self.folder).parts[1:]
        name = self.name if self.with_suffix else os.path.splitext(self.name)[0]
        return "/".join([*folders[max(0, len(folders) - depth) :], name + self.number])


def _folded(name: str) -> str:
    """Return what is equal for names that some disk takes for one: macOS and Windows know no case."""
    return unicodedata.normalize("NFC", name).casefold()


def _tell_apart(group: Sequence[_File]) -> None:
    """Let files of one folder whose outputs have one name keep their suffix, or give them numbers."""
    folders: dict[str, list[_File]] = defaultdict(list)
    for file in group:
        folders[_folded(file.folder)].append(file)
    for together in (files for files in folders.values() if len(files) > 1):
        if all(file.with_suffix for file in together):
            for number, file in enumerate(sorted(together, key=lambda file: (file.folder, file.name))[1:], start=2):
                file.number += f"~{number}"
        for file in together:
            file.with_suffix = True
