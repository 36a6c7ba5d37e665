"""Reads every image and mask of a segmentation data set and finds what would spoil a training."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image

from ..errors import DataError
from .findings import Finding, SplitAudit
from .official import expected_images
from .pictures import UNREADABLE, read_picture
from .preflight import open_dataset, whereabouts
from .progress import in_parallel

VOID, WRONG = -1, -2
LABEL_MAP_MODES = ("1", "L", "P", "I", "I;16", "I;16B")


def audit_split(config: Mapping[str, Any], split: str, decode: bool = True, workers: int = 4) -> SplitAudit:
    """Look into every file of one split.

    Args:
        config: of a mmseg data set.
        split: its name, for the official counts and the progress bar.
        decode: decode every image and mask; otherwise only their headers are read: sizes and modes.
        workers: threads.
    """
    try:
        dataset = open_dataset(config)
    except DataError as error:
        return SplitAudit(split, str(config["type"]), findings=[Finding("not there", str(error))])
    if dataset is None:
        return SplitAudit(split, str(config["type"]), findings=[Finding("not checked", str(config["type"]))])
    classes = tuple(dataset.metainfo.get("classes") or ())
    if not classes:
        raise DataError(f"{whereabouts(dataset)} names no classes; add metainfo=dict(classes=(...)) to its config")
    items = dataset.load_data_list()
    result = SplitAudit(split, whereabouts(dataset), len(items), expected_images(config, split), decode, classes)
    result.findings += pairing(dataset, items)
    if not items:
        what = f"no *{dataset.img_suffix}, or an empty list"
        result.findings.append(Finding("empty", str(dataset.data_prefix.get("img_path")), what))
    if result.expected and len(items) not in result.expected:
        published = " or ".join(f"{count:,}" for count in result.expected)
        result.findings.append(
            Finding("count", str(dataset.data_root), f"{len(items):,} images, published {published}")
        )

    labels = label_table(dataset)
    pixels, seen_in = np.zeros(len(classes), np.int64), np.zeros(len(classes), np.int64)
    whole = [item for item in items if all(os.path.isfile(item[k]) for k in ("img_path", "seg_map_path") if k in item)]
    look = partial(examine, labels=labels, decode=decode)
    for findings, histogram in in_parallel(look, whole, workers, split):
        result.findings += findings
        if histogram is not None:
            counts = np.bincount(labels[labels >= 0], histogram[labels >= 0], len(classes)).astype(np.int64)
            pixels += counts
            seen_in += counts > 0
            result.void += int(histogram[labels == VOID].sum())
    result.pixels, result.seen_in = pixels.tolist(), seen_in.tolist()
    return result


def pairing(dataset: Any, items: list[dict[str, Any]]) -> list[Finding]:
    """Compare images, masks and list: what is missing, left over or listed twice."""
    findings = []
    for key, kind in (("img_path", "missing image"), ("seg_map_path", "missing mask")):
        findings += [Finding(kind, item[key]) for item in items if key in item and not os.path.isfile(item[key])]
    twice = [path for path, count in Counter(item["img_path"] for item in items).items() if count > 1]
    findings += [Finding("listed twice", path, f"in {dataset.ann_file}") for path in twice]
    folder = dataset.data_prefix.get("seg_map_path")
    if folder and not dataset.ann_file:  # a list leaves out masks on purpose: those of the other split
        wanted = {os.path.normpath(item["seg_map_path"]) for item in items}
        there = sorted(str(path) for path in Path(folder).rglob(f"*{dataset.seg_map_suffix}"))
        findings += [Finding("mask without image", path) for path in there if os.path.normpath(path) not in wanted]
    return findings


def label_table(dataset: Any) -> np.ndarray:
    """Ask mmseg itself what it makes of each value 0 to 255 in a mask: (256,) of classes, ``VOID`` or ``WRONG``.

    So ``reduce_zero_label`` and a subset of the classes mean here what they mean in training.
    """
    from mmseg.datasets.transforms import LoadAnnotations

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "values.png"
        Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(path)
        mask = dict(
            seg_map_path=str(path),
            reduce_zero_label=dataset.reduce_zero_label,
            label_map=dataset.label_map,
            seg_fields=[],
        )
        labels = LoadAnnotations()(mask)["gt_seg_map"].ravel().astype(np.int64)
    void = labels == dataset.ignore_index
    labels[~void & (labels >= len(dataset.metainfo["classes"]))] = WRONG
    labels[void] = VOID
    return labels


def examine(item: Mapping[str, Any], labels: np.ndarray, decode: bool) -> tuple[list[Finding], Optional[np.ndarray]]:
    """Look into one image and its mask.

    Returns:
        What is wrong, and how many pixels of the mask have each value 0 to 255, if it can be told.
    """
    image_path, mask_path = item["img_path"], item.get("seg_map_path")
    findings, image, mask = [], None, None
    try:
        image = read_picture(image_path, decode)
    except UNREADABLE as error:
        findings.append(Finding("unreadable", image_path, str(error)))
    if mask_path is None:
        return findings, None
    try:
        mask = read_picture(mask_path, decode)
    except UNREADABLE as error:
        findings.append(Finding("unreadable", mask_path, str(error)))
    if image and image.orientation != 1:
        findings.append(Finding("turned", image_path, f"Exif orientation {image.orientation}"))
    if image and mask and image.size != mask.size:
        findings.append(Finding("size", mask_path, f"is {_times(mask.size)}, its image {_times(image.size)}"))
    if mask and mask.mode not in LABEL_MAP_MODES:
        findings.append(Finding("no label map", mask_path, f"has Pillow mode {mask.mode}"))
        return findings, None
    if not mask or mask.values is None:
        return findings, None
    histogram = np.bincount(mask.values.ravel(), minlength=256)
    wrong = [v for v in np.flatnonzero(histogram).tolist() if v > 255 or labels[v] == WRONG]
    if wrong:
        allowed = np.flatnonzero(labels >= 0)
        held = ", ".join(f"{v} ({histogram[v]:,} pixels)" for v in wrong[:5]) + (" ..." if len(wrong) > 5 else "")
        findings.append(Finding("label", mask_path, f"holds {held}; classes are {allowed.min()} to {allowed.max()}"))
    return findings, histogram[:256]


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def overlaps(splits: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Find images that both training and another split have.

    Args:
        splits: configs of mmseg data sets by split; those that cannot be opened are left out.
    """
    images = {}
    for split, config in splits.items():
        try:
            dataset = open_dataset(config)
        except DataError:
            continue
        items = dataset.load_data_list() if dataset is not None else []
        images[split] = {item["img_path"] for item in items}
    train = images.pop("train", set())
    return [Finding("in train too", path, f"in {split}") for split in images for path in sorted(images[split] & train)]
