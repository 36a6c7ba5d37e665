"""Folders in which the images of an annotation file lie."""

from __future__ import annotations

import os
import os.path as osp
from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePath

from ...datasets.walking import is_hidden
from ...errors import DataError, some
from .coco_file import CocoFile
from .coco_source import CocoSource

DEPTH = 4  # levels of folders that are looked into
SAMPLE = 20  # names that are looked for
ANNOTATIONS = "annotations"  # COCO's folder of JSON files, beside those of images


def folder_of_images(names: Sequence[str], first: Iterable[str], root: str) -> str:
    """Return the folder below which most of the named images are; empty if none has any.

    Args:
        names: ``file_name`` of the images.
        first: folders that take precedence over others with the same number of images.
        root: folder, which is searched with those below it.

    Raises:
        DataError: several folders have the same number of them, and none takes precedence.
    """
    sample = names[:: max(1, len(names) // SAMPLE)]
    preferred = list(dict.fromkeys(first))
    counts: dict[str, int] = {}
    for folder in dict.fromkeys([*preferred, *folders_below(root)]):
        counts[folder] = sum(osp.isfile(osp.join(folder, name)) for name in sample)
        if counts[folder] == len(sample) and folder in preferred:
            return folder
    most = max(counts.values(), default=0)
    best = [folder for folder, count in counts.items() if count == most] if most else []
    if len(best) > 1 and best[0] not in preferred:
        raise DataError(
            f"images named {some(sample, 2)} are in {' and in '.join(best[:3])}; name the folder after the split, or "
            "move the others out"
        )
    return best[0] if best else ""


def folders_below(root: str) -> Iterator[str]:
    """Yield a folder and those below it, the nearest first, without hidden ones."""
    level = [root]
    for _ in range(DEPTH):
        yield from level
        level = [path for folder in level for path in _folders(folder)]


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            found = sorted(entry.path for entry in entries if entry.is_dir() and not is_hidden(PurePath(entry.name)))
    except (PermissionError, FileNotFoundError, NotADirectoryError):
        return []
    return found


def elsewhere(source: CocoSource, coco: CocoFile, missing: str) -> str:
    """Say where the images lie, or one with the name of a missing one; empty if no such place is found."""
    root = source.data_root or osp.dirname(osp.abspath(source.ann_file))
    if osp.basename(root) == ANNOTATIONS:
        root = osp.dirname(root)
    names = [image["file_name"] for image in coco.images]
    try:
        there = folder_of_images(names, (), root)
    except DataError as error:
        return str(error)
    if there and osp.abspath(there) != osp.abspath(source.images):
        return f"images of these names are in {there}: set data_prefix.img, or give --images {there}"
    name = osp.basename(missing)
    found = next((folder for folder in folders_below(root) if osp.isfile(osp.join(folder, name))), "")
    if found:
        return (
            f"{osp.join(found, name)} exists: names in the file must be relative to the folder of the images, "
            f"{source.images or '.'}; change file_name or data_prefix.img"
        )
    return ""
