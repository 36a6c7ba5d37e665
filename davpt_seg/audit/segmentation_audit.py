"""Audit of every image and mask of a segmentation data set, for what would spoil a training."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import numpy as np

from ..datasets.load_label_map import MOST, class_numbers, equal_channels, label_map_problem, relabel
from ..datasets.pictures import UNREADABLE, Picture, read_picture
from ..datasets.pipelines import MASK_LOADERS, find_step, loads_masks_otherwise
from ..errors import DataError, some
from ..image_names import JPEG_SUFFIXES
from ..long_work import in_parallel
from .data_check import STRICT, DataCheck
from .depth import check_depth, cuts_images, cuts_masks
from .exif import Readers, stated_by, tagged_pair
from .findings import Finding, SplitAudit, unreadable
from .label_values import VOID, WRONG, Scheme, SeenValues
from .lossy import looks_interpolated
from .official import expected_images
from .pairing import pairing
from .palettes import Palettes
from .preflight import open_dataset, whereabouts, without_images
from .stray_files import listed_twice, stray_files

TO_LABEL_MAP = "write it without alpha, or replace LoadAnnotations by LoadLabelMap (docs/data.md)"
MIXED = 0.1  # largest share of masks that may look interpolated because of thin objects


class AuditedFiles(NamedTuple):
    """Contents of one split's files, to compare with other splits: a digest of each image, and all labels."""

    images: dict[str, str]
    seen: Optional[SeenValues] = None


def audit_split(
    config: Mapping[str, Any], split: str, decode: bool = True, workers: int = 4, settings: DataCheck = STRICT
) -> tuple[SplitAudit, AuditedFiles]:
    """Examine every file of one split.

    Args:
        config: config of a mmseg data set.
        split: name of the split, for the official counts and the progress bar.
        decode: whether to decode every image and mask; otherwise only headers are read: sizes and modes.
        workers: number of threads.
        settings: strictness that the config sets.
    """
    nothing = AuditedFiles({})
    try:
        dataset = open_dataset(config)
    except DataError as error:
        return SplitAudit(split, str(config["type"]), findings=[Finding("not there", str(error))]), nothing
    if dataset is None:
        return SplitAudit(split, str(config["type"]), findings=[Finding("not checked", str(config["type"]))]), nothing
    classes = tuple(dataset.metainfo.get("classes") or ())
    if not classes:
        raise DataError(f"{whereabouts(dataset)} names no classes; add metainfo=dict(classes=(...)) to its config")
    items = dataset.load_data_list()
    result = SplitAudit(split, whereabouts(dataset), len(items), expected_images(config, split), decode, classes)
    result.findings += pairing(dataset, items)
    odd = stray_files(dataset, items) + listed_twice(items, dataset.ann_file)
    (result.findings if settings.files == "refuse" else result.notes).extend(odd)
    if not items:
        result.findings.append(Finding("empty", str(dataset.data_prefix.get("img_path")), without_images(dataset)))
    if result.expected and len(items) not in result.expected:
        published = " or ".join(f"{count:,}" for count in result.expected)
        result.findings.append(
            Finding("count", str(dataset.data_root), f"{len(items):,} images, published {published}")
        )

    pipeline = config.get("pipeline") or ()
    labels = label_table(dataset, pipeline)
    seen = SeenValues(Scheme(labels, classes, bool(dataset.reduce_zero_label)), complete=decode)
    pixels, seen_in = np.zeros(len(classes), np.int64), np.zeros(len(classes), np.int64)
    keys = ("img_path", "seg_map_path")
    present = [item for item in items if all(os.path.isfile(item[key]) for key in keys if key in item)]
    judged = not loads_masks_otherwise(pipeline)
    if not judged:
        result.notes.append(Finding("not judged", str(dataset.data_prefix.get("seg_map_path"))))
        present = [{key: value for key, value in item.items() if key != "seg_map_path"} for item in present]
    readers = Readers(pipeline)
    stated, deep = stated_by(readers, settings.exif), not cuts_images(pipeline)
    look = partial(examine, labels=labels, decode=decode, readers=readers, stated=stated, deep=deep)
    images, mixed, differing, palettes = {}, [], [], Palettes()
    for pair, item in zip(in_parallel(look, present, workers, split), present):
        result.findings += pair.findings
        result.notes += pair.notes
        images.update({item["img_path"]: pair.content} if pair.content else {})
        if pair.histogram is not None:
            counts = np.bincount(labels[labels >= 0], pair.histogram[labels >= 0], len(classes)).astype(np.int64)
            pixels += counts
            seen_in += counts > 0
            result.void += int(pair.histogram[labels == VOID].sum())
            seen.add(pair.histogram)
            mixed += [Finding("lossy", item["seg_map_path"], "labels are mixed along borders")] * pair.interpolated
            differing += palettes.compare(item["seg_map_path"], pair.palette, pair.histogram)
    refused = settings.labels == "refuse"
    (result.findings if refused and len(mixed) > MIXED * seen.masks else result.notes).extend(mixed)
    for case in differing:
        (result.findings if refused and case.kind == "palettes" else result.notes).append(case)
    result.masks, result.void_masks = seen.masks, seen.void_masks
    if judged:
        result.pixels, result.seen_in = pixels.tolist(), seen_in.tolist()
    return result, AuditedFiles(images, seen)


def label_table(dataset: Any, pipeline: Sequence[Any] = ()) -> np.ndarray:
    """Return the label that training makes of each value in a mask: class, ``VOID`` or ``WRONG``, (256,) or (65536,).

    So ``reduce_zero_label`` and a subset of the classes have the same effect here as in training.

    Args:
        dataset: data set of mmseg.
        pipeline: configs of its transforms; with ``LoadAnnotations``, which reads 8 bits, values end at 255.

    Raises:
        DataError: more classes than the pipeline's loader can read, or an ``ignore_index`` that is a class.
    """
    loader, classes = find_step(pipeline, *MASK_LOADERS), len(dataset.metainfo["classes"])
    check_depth((), pipeline, classes)
    if classes > 255 and 0 <= dataset.ignore_index < classes:
        raise DataError(
            f"the data set's ignore_index, {dataset.ignore_index}, is one of its {classes} classes; set it, like that "
            f"of LoadLabelMap and the other parts, to {MOST} (docs/data.md)"
        )
    ignore_index = loader.get("ignore_index", 255) if isinstance(loader, dict) else 255
    values = np.arange(256 if cuts_masks(pipeline) else MOST + 1, dtype=np.uint16)
    labels = relabel(values, dataset.reduce_zero_label, dataset.label_map, ignore_index).astype(np.int64)
    void = labels == dataset.ignore_index
    labels[~void & (labels >= classes)] = WRONG
    labels[void] = VOID
    return labels


class Examined(NamedTuple):
    """Problems and notes of an image and its mask, and their contents.

    ``content`` is a digest of the image if it was decoded, ``histogram`` the number of mask pixels of each value of
    ``label_table``, ``interpolated`` whether labels look mixed along borders, ``palette`` the mask's colours.
    """

    findings: list[Finding]
    notes: list[Finding]
    content: str = ""
    histogram: Optional[np.ndarray] = None
    interpolated: bool = False
    palette: Optional[np.ndarray] = None


def examine(
    item: Mapping[str, Any],
    labels: np.ndarray,
    decode: bool,
    readers: Readers,
    stated: Optional[str] = None,
    deep: bool = False,
) -> Examined:
    """Examine one image and its mask.

    Args:
        item: item of a mmseg data set.
        labels: label of each mask value, see :func:`label_table`.
        decode: whether to read pixels, not only headers.
        readers: behaviour of the pipeline's readers with an Exif tag.
        stated: pixels that masks were drawn on, ``stored`` or ``upright``, where sizes do not show it.
        deep: whether the pipeline reads images of more than 8 bits as they are.
    """
    image_path, mask_path = item["img_path"], item.get("seg_map_path")
    findings: list[Finding] = []
    notes: list[Finding] = []
    image = mask = None
    try:
        image = read_picture(image_path, decode)
    except UNREADABLE as error:
        findings.append(unreadable(image_path, error))
    content = image.content if image and decode else ""
    if image and image.bits > 8 and not deep:
        findings.append(Finding("depth", image_path, f"{image.bits} bits a channel"))
    if mask_path is None:
        return Examined(findings, notes, content)
    try:
        mask = read_picture(mask_path, decode)
    except UNREADABLE as error:
        findings.append(unreadable(mask_path, error))
    if image and mask and image.turned:
        pair = tagged_pair(readers, image_path, image, mask_path, mask)
        kind = pair.wrong(stated)
        (findings if kind else notes).append(Finding(kind or "tagged", image_path, pair.detail))
    elif image and mask and image.size != mask.size:
        findings.append(Finding("size", mask_path, f"is {_times(mask.size)}, its image {_times(image.size)}"))
    values = None
    try:
        values = mask and label_values(mask, shallow=len(labels) == 256)
    except DataError as error:
        findings.append(Finding("no label map", mask_path, str(error)))
        return Examined(findings, notes, content)
    if mask and mask.bits > 8 and len(labels) == 256:
        findings.append(Finding("mask depth", mask_path, f"{mask.bits} bits a pixel"))
    if mask and mask.format in ("JPEG", "MPO") and not mask_path.lower().endswith(JPEG_SUFFIXES):
        findings.append(Finding("lossy", mask_path, "is a JPEG, whatever its name says"))
    if not mask or values is None:
        return Examined(findings, notes, content)
    outside = (values < 0) | (values >= len(labels))
    histogram = np.bincount(values[~outside].astype(np.int64), minlength=len(labels))
    pixels = {v: int(histogram[v]) for v in np.flatnonzero((histogram > 0) & (labels == WRONG)).tolist()}
    pixels |= dict(zip(*(each.tolist() for each in np.unique(values[outside], return_counts=True))))
    if pixels:
        allowed = np.flatnonzero(labels >= 0)
        held = some([f"{v} ({count:,} pixels)" for v, count in pixels.items()])
        findings.append(Finding("label", mask_path, f"holds {held}; classes are {allowed.min()} to {allowed.max()}"))
    return Examined(findings, notes, content, histogram, looks_interpolated(values), mask.palette)


def label_values(mask: Picture, shallow: bool) -> Optional[np.ndarray]:
    """Return the class numbers of a mask, (H, W), or None if its pixels were not read.

    Args:
        mask: from ``read_picture``.
        shallow: whether the pipeline reads masks by ``LoadAnnotations``, which takes 8-bit integers of one channel.

    Raises:
        DataError: the file is no label map; the message goes after its name.
    """
    problem = label_map_problem(mask.mode, mask.bits)
    if problem:
        raise DataError(problem + ("" if mask.values is None else equal_channels(mask.values)))
    values = None if mask.values is None else class_numbers(mask.values, mask.mode)
    if shallow and mask.mode == "LA":
        raise DataError(f"has Pillow mode LA: its alpha channel stays with LoadAnnotations; {TO_LABEL_MAP}")
    return values


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
