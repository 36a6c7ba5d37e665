"""Stray files of a data folder, found by name: not read, or read by mistake."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from ..datasets.walking import is_hidden
from ..image_names import IMAGE_SUFFIXES, JPEG_SUFFIXES
from .findings import Finding


def stray_files(dataset: Any, items: Sequence[Mapping[str, Any]]) -> list[Finding]:
    """Find images in hidden folders that are read, images with a mask that are not read, and JPEG masks.

    Args:
        dataset: a ``BaseSegDataset``. With an ``ann_file``, which lists what is read, only masks are checked.
        items: items of ``load_data_list``.
    """
    masks = [item["seg_map_path"] for item in items if "seg_map_path" in item]
    found = [Finding("lossy", path, "is a JPEG") for path in masks if path.lower().endswith(JPEG_SUFFIXES)]
    folder = dataset.data_prefix.get("img_path")
    if dataset.ann_file or not folder or not os.path.isdir(folder):
        return found
    found += hidden_images([item["img_path"] for item in items], folder)
    suffix = f"img_suffix is {dataset.img_suffix!r}"
    return found + [Finding("not read", path, suffix) for path in unread_images(dataset, items)]


def listed_twice(items: Iterable[Mapping[str, Any]], place: str) -> list[Finding]:
    """Find images that a list names more than once, also by other spellings of a path.

    Args:
        items: items of ``load_data_list``.
        place: list or split, for the message.
    """
    labels: dict[str, list[Any]] = {}
    for item in items:
        labels.setdefault(os.path.normpath(item["img_path"]), []).append(item.get("gt_label"))
    found = []
    for path, several in labels.items():
        if len(several) > 1:
            kinds = sorted({label for label in several if label is not None})
            unlike = f", with the labels {' and '.join(map(str, kinds))}" if len(kinds) > 1 else ""
            found.append(Finding("listed twice", path, f"{len(several)} times in {place}{unlike}"))
    return found


def hidden_images(paths: Iterable[str], folder: str) -> list[Finding]:
    """Find images that are read from hidden folders, or from those that a program made, below a folder."""
    return [Finding("hidden", path) for path in paths if is_hidden(PurePath(os.path.relpath(path, folder)))]


def unread_images(dataset: Any, items: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Find images with a mask that are not read because of their suffix.

    Returns:
        The mask by the image's path.
    """
    folder, masks = dataset.data_prefix.get("img_path"), dataset.data_prefix.get("seg_map_path")
    if dataset.ann_file or not (folder and masks and os.path.isdir(folder) and os.path.isdir(masks)):
        return {}
    labelled = {stem: os.path.join(masks, name) for name, stem in _stems(masks, dataset.seg_map_suffix).items()}
    read = {os.path.relpath(item["img_path"], folder) for item in items}
    stems = {name[: -len(dataset.img_suffix)] for name in read}
    found = {}
    for name, stem in _stems(folder, dataset.img_suffix).items():
        path = os.path.join(folder, name)
        if name not in read and stem not in stems and labelled.get(stem, path) != path:
            found[path] = labelled[stem]
    return found


def _stems(folder: str, suffix: str) -> dict[str, str]:
    """Map the files of a folder that end in a suffix, in any case and image format, to their names without it."""
    formats = "|".join(map(re.escape, sorted(IMAGE_SUFFIXES, key=len, reverse=True)))
    base = suffix[: -len(PurePath("x" + suffix).suffix) or None]  # _leftImg8bit of _leftImg8bit.png
    ending = re.compile(f"{re.escape(base)}({formats})$", re.IGNORECASE)
    return {name: ending.sub("", name) for name in _visible(Path(folder)) if ending.search(name)}


def same_names(paths: Iterable[str]) -> dict[str, str]:
    """Map missing files to files beside them with the same name and another suffix, in any case."""
    listed: dict[str, dict[str, list[str]]] = {}
    found = {}
    for path in paths:
        folder, missing = os.path.split(path)
        if folder not in listed:
            stems = listed[folder] = {}
            for name in sorted(os.listdir(folder or ".")) if os.path.isdir(folder or ".") else ():
                if PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
                    stems.setdefault(PurePath(name).stem.lower(), []).append(name)
        there = [name for name in listed[folder].get(PurePath(missing).stem.lower(), ()) if name != missing]
        found.update({path: os.path.join(folder, there[0])} if there else {})
    return found


def other_suffixes(folder: str) -> str:
    """Count the images of a folder by suffix, for messages."""
    counts: dict[str, int] = {}
    for name in _visible(Path(folder)) if os.path.isdir(folder) else ():
        suffix = PurePath(name).suffix
        if suffix.lower() in IMAGE_SUFFIXES:
            counts[suffix] = counts.get(suffix, 0) + 1
    return ", ".join(f"{count:,} *{suffix}" for suffix, count in sorted(counts.items()))


def _visible(folder: Path) -> list[str]:
    """List the files below a folder, relative to it, without hidden ones."""
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not is_hidden(PurePath(name)))
        here = os.path.relpath(place, folder)
        found += [os.path.normpath(os.path.join(here, name)) for name in sorted(names) if not is_hidden(PurePath(name))]
    return found
