"""Audit of every image of a classification data set, for what would spoil a training or a score."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from functools import partial
from itertools import combinations
from typing import Any, NamedTuple, Optional

import numpy as np

from ..datasets.fgvc import FGVCDataset, read_split
from ..datasets.pictures import UNREADABLE, read_picture
from ..errors import DataError
from ..long_work import in_parallel
from .data_check import STRICT, DataCheck
from .depth import cuts_images
from .findings import Finding, SplitAudit, unreadable
from .official import expected_images
from .pairing import are_many, copies
from .preflight import open_dataset, unwrapped, whereabouts, without_images
from .stray_files import hidden_images, listed_twice

# Splits that share images on purpose: VTAB trains on both in the end, after choosing on val200.
PARTS = {"train800val200": ("train800", "val200"), "trainval": ("train", "val")}


class LabelledImages(NamedTuple):
    """A split's images: label by path, and digest of the content by path for images that were read."""

    labels: dict[str, int]
    contents: dict[str, str]


def audit_labelled_images(
    config: Mapping[str, Any], split: str, decode: bool = True, workers: int = 4, settings: DataCheck = STRICT
) -> tuple[SplitAudit, LabelledImages]:
    """Examine every image of one split.

    Args:
        config: config of one of our classification data sets.
        split: name of the split.
        decode: whether to decode every image; otherwise only headers are read.
        workers: number of threads.
        settings: strictness that the config sets.
    """
    nothing = LabelledImages({}, {})
    try:
        dataset: Any = open_dataset(config)
    except DataError as error:
        return SplitAudit(split, str(unwrapped(config)["type"]), findings=[Finding("not there", str(error))]), nothing
    result = SplitAudit(split, whereabouts(dataset), decoded=decode, classes=tuple(dataset.metainfo["classes"]))
    try:
        items = dataset.load_data_list()
    except DataError as error:
        result.findings.append(Finding("list", str(error)))
        return result, nothing
    result.images, result.expected = len(items), expected_images(config, split)
    _count(result, dataset)
    result.findings += listed(dataset, items)
    hidden = hidden_images(
        dict.fromkeys(item["img_path"] for item in items), str(dataset.folder(dataset.data_root, dataset.name))
    )
    odd = hidden + listed_twice(items, dataset.split)
    (result.findings if settings.files == "refuse" else result.notes).extend(odd)
    result.seen_in = np.bincount([item["gt_label"] for item in items], minlength=len(result.classes)).tolist()

    paths = [path for path in dict.fromkeys(item["img_path"] for item in items) if os.path.isfile(path)]
    contents, deep = {}, not cuts_images(unwrapped(config).get("pipeline") or ())
    look = partial(examine, decode=decode, deep=deep)
    for (finding, digest), path in zip(in_parallel(look, paths, workers, split), paths):
        result.findings += [finding] if finding else []
        contents.update({path: digest} if digest else {})
    return result, LabelledImages({item["img_path"]: item["gt_label"] for item in items}, contents)


def _count(audit: SplitAudit, dataset: Any) -> None:
    """Compare the number of images with the published one."""
    if not audit.images:
        audit.findings.append(Finding("list", f"{audit.dataset}: {without_images(dataset)}"))
    elif audit.expected and audit.images not in audit.expected:
        lists = ", ".join(map(str, dataset.list_paths(dataset.data_root, dataset.name, dataset.split)))
        detail = f"{audit.images:,} images, published {audit.expected[0]:,}"
        if _divided_otherwise(dataset):
            audit.notes.append(Finding("division", lists, detail))
        else:
            audit.findings.append(Finding("list count", lists, detail))


def _divided_otherwise(dataset: Any) -> bool:
    """Return whether FGVC's train and val differ in length from VPT's, but together are the release's images."""
    if not isinstance(dataset, FGVCDataset) or dataset.split not in PARTS["trainval"]:
        return False
    paths = dataset.list_paths(dataset.data_root, dataset.name, "trainval")
    both = dict(type=type(dataset), dataset=dataset.name, split="trainval")
    return sum(len(read_split(path)) for path in paths if path.is_file()) in expected_images(both, "trainval")


def listed(dataset: Any, items: list[dict[str, Any]]) -> list[Finding]:
    """Find listed images that are missing."""
    times = dict.fromkeys(item["img_path"] for item in items)
    return [Finding("missing image", path) for path in times if not os.path.isfile(path)]


def examine(path: str, decode: bool, deep: bool = False) -> tuple[Optional[Finding], Optional[str]]:
    """Examine one image.

    Returns:
        The finding, if any, and a digest of the content if the image was read.
    """
    try:
        picture = read_picture(path, decode)
    except UNREADABLE as error:
        return unreadable(path, error), None
    too_deep = Finding("depth", path, f"{picture.bits} bits a channel") if picture.bits > 8 and not deep else None
    return too_deep, picture.content if decode else None


def compare_splits(splits: Mapping[str, LabelledImages]) -> tuple[list[Finding], list[Finding]]:
    """Find images that two splits share and must not.

    Args:
        splits: splits of one data set, by name; those of ``PARTS`` may share images with their parts.

    Returns:
        Problems, and notes: a few images of the same content.
    """
    problems: list[Finding] = []
    notes: list[Finding] = []
    for (first, some), (second, others) in combinations(splits.items(), 2):
        if second in PARTS.get(first, ()) or first in PARTS.get(second, ()):
            continue
        shared = some.labels.keys() & others.labels.keys()
        problems += [Finding("in two splits", path, f"in {first} and {second}") for path in sorted(shared)]
        same = copies(first, some.contents, second, others.contents)
        (problems if are_many(same, others.contents) else notes).extend(same)
    for joined, parts in PARTS.items():
        if splits.keys() >= {joined, *parts} and all(splits[name].labels for name in (joined, *parts)):
            problems += _not_the_sum(joined, {name: splits[name] for name in (joined, *parts)})
    return _once(problems), _once(notes)


def _once(findings: list[Finding]) -> list[Finding]:
    """Keep the first finding of each file: what train800 shares with test, train800val200 shares, too."""
    kept: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        kept.setdefault((finding.kind, finding.path), finding)
    return list(kept.values())


def _not_the_sum(joined: str, splits: Mapping[str, LabelledImages]) -> list[Finding]:
    """Find images, with labels, that the joined split has and its parts lack, or the reverse."""

    def images(split: LabelledImages) -> Counter[tuple[str, int]]:
        return Counter((split.contents.get(path, path), label) for path, label in split.labels.items())

    own = images(splits[joined])
    parts = Counter[tuple[str, int]]()
    for name, split in splits.items():
        if name != joined:
            parts += images(split)
    differing = sum(((own - parts) + (parts - own)).values())
    names = " and ".join(name for name in splits if name != joined)
    return [Finding("not the sum", joined, f"{differing:,} images or labels differ from {names}")] if differing else []
