"""Comparison of images, masks and lists by name: what is missing, left over or in two splits."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

from ..datasets.walking import is_hidden
from ..errors import DataError
from .findings import Finding
from .preflight import open_dataset
from .preflight_files import renamed
from .stray_files import unread_images

# Official releases hold some images twice (dSprites: a turned square is the same square); more than this share of a
# split is no accident.
SAME_CONTENT = 0.01


def pairing(dataset: Any, items: list[dict[str, Any]]) -> list[Finding]:
    """Find images, masks and list entries that are missing or left over."""
    findings = []
    for key, kind in (("img_path", "missing image"), ("seg_map_path", "missing mask")):
        missing = [item[key] for item in items if key in item and not os.path.isfile(item[key])]
        hints = renamed(missing)
        findings += [Finding(kind, path, hints.get(path, "").strip(" ()")) for path in missing]
    folder = dataset.data_prefix.get("seg_map_path")
    if folder and not dataset.ann_file:  # a list omits masks on purpose: those of the other split
        used = {os.path.normpath(item["seg_map_path"]) for item in items}
        used |= {os.path.normpath(mask) for mask in unread_images(dataset, items).values()}  # named with their images
        there = sorted(path for path in Path(folder).rglob(f"*{dataset.seg_map_suffix}"))
        findings += [
            Finding("mask without image", str(path))
            for path in there
            if os.path.normpath(path) not in used and not is_hidden(PurePath(os.path.relpath(path, folder)))
        ]
    return findings


def overlaps(splits: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Find images of training that another split has, too.

    Args:
        splits: configs of mmseg data sets by split; those that cannot be opened are skipped.
    """
    images = {}
    for split, config in splits.items():
        try:
            dataset = open_dataset(config)
        except DataError:
            continue
        items = dataset.load_data_list() if dataset is not None else []
        images[split] = {item["img_path"] for item in items}
    train = set().union(*(paths for split, paths in images.items() if split.startswith("train")))
    return [
        Finding("in train too", path, f"in {split}")
        for split, paths in images.items()
        if not split.startswith("train")
        for path in sorted(paths & train)
    ]


def copies(first: str, some: Mapping[str, str], second: str, others: Mapping[str, str]) -> list[Finding]:
    """Find images of one split that another split has under another name.

    Args:
        first: name of a split.
        some: digest of the content by path, of its images.
        second: name of the other split.
        others: digests of the other split's images.
    """
    known = {digest: path for path, digest in some.items()}
    return [
        Finding("same content", path, f"of {second}, is {known[digest]} of {first}")
        for path, digest in others.items()
        if digest in known and path not in some
    ]


def copies_of_training(splits: Mapping[str, Mapping[str, str]]) -> tuple[list[Finding], list[Finding]]:
    """Find images of training that other splits have under other names.

    Args:
        splits: digests by path, by split.

    Returns:
        Problems, and notes: few images of a large split.
    """
    problems: list[Finding] = []
    notes: list[Finding] = []
    training = {path: digest for split in splits if split.startswith("train") for path, digest in splits[split].items()}
    for split, images in splits.items():
        if not split.startswith("train"):
            found = copies("train", training, split, images)
            (problems if are_many(found, images) else notes).extend(found)
    return problems, notes


def are_many(found: Sequence[Finding], images: Mapping[str, str]) -> bool:
    """Return whether there are too many copies for an accident of a release."""
    return len(found) > SAME_CONTENT * len(images)
