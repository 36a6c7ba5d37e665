"""Audit of a data set in COCO's format: every entry of its annotation file, and every image."""

from __future__ import annotations

from collections import Counter
from functools import partial
from itertools import chain

import numpy as np

from ...long_work import in_parallel
from ..data_check import DataCheck
from ..depth import cuts_images
from ..findings import Finding, SplitAudit
from ..preflight_exif import header_of
from ..preflight_files import file_size, renamed
from ..recognition_audit import examine
from ..stray_files import listed_twice
from .coco_file import CocoFile, names_of
from .coco_source import CocoSource
from .file_findings import file_findings
from .image_findings import paths_of, size_findings
from .image_places import elsewhere

SMALL, MEDIUM = 32, 96  # side of the square, in pixels, that COCO's scores call small and medium objects up to
TINY = 8
ROOT = (
    "has no object and is the supercategory of other categories, as Roboflow writes a project's name: no class for "
    "data=coco_folder:PATH; omit it from metainfo.classes in a config"
)


def audit_coco(
    source: CocoSource, split: str, decode: bool, workers: int, settings: DataCheck
) -> tuple[SplitAudit, dict[str, str]]:
    """Examine a data set in COCO's format.

    Args:
        source: where it lies, and how it is read.
        split: name of the split.
        decode: whether to decode every image; otherwise only headers are read.
        workers: number of threads.
        settings: strictness that the config sets.

    Returns:
        The audit, and a digest of the content by path for images that were read.
    """
    audit = SplitAudit(split, f"{source.ann_file}, images in {source.images or '.'}", decoded=decode)
    coco, (audit.findings, audit.notes) = file_findings(source, settings)
    if coco is None:
        return audit, {}
    _count(audit, coco, source)
    paths = paths_of(coco, source)
    there = [path for path in paths if file_size(path) is not None]
    missing = [path for path in paths if path not in set(there)]
    hints = renamed(missing)
    advice = elsewhere(source, coco, missing[0]) if missing else ""
    audit.findings += [Finding("missing image", path, hints.get(path, advice).strip(" ()")) for path in missing]
    twice = listed_twice(source.items(coco), source.ann_file)
    (audit.findings if settings.files == "refuse" else audit.notes).extend(twice)
    contents, deep = {}, not cuts_images(source.pipeline)
    look = partial(examine, decode=decode, deep=deep)
    for (finding, digest), path in zip(in_parallel(look, there, workers, split), there):
        audit.findings += [finding] if finding else []
        contents.update({path: digest} if digest else {})
    readable = [path for path in there if path not in {finding.path for finding in audit.findings}]
    headers = dict(zip(readable, in_parallel(header_of, readable, workers, f"{split} headers")))
    audit.findings += size_findings(coco, source, headers, settings.exif)
    return audit, contents


def _count(audit: SplitAudit, coco: CocoFile, source: CocoSource) -> None:
    """Count images, objects and their sizes, and objects and images of each class."""
    classes = source.classes if source.classes is not None else names_of(coco.categories)
    names = {category["id"]: category["name"] for category in coco.categories}
    objects = Counter(names.get(each["category_id"]) for each in coco.used)
    pairs = {(each["image_id"], names.get(each["category_id"])) for each in coco.used}
    seen = Counter(name for _, name in pairs)
    audit.images, audit.classes = len(coco.images), tuple(dict.fromkeys(classes))
    audit.seen_in = [seen[name] for name in audit.classes]
    audit.objects = [objects[name] for name in audit.classes]
    empty = len(coco.by_id.keys() - {each["image_id"] for each in coco.used})
    crowd = sum(each.get("iscrowd") == 1 for each in coco.used)
    masks = sum(bool(each.get("segmentation")) for each in coco.used)
    areas = np.array([each["area"] for each in coco.used], float)
    sides = coco.boxes[:, 2:].min(1) if len(coco.boxes) else np.zeros(0)
    small, medium = (areas < SMALL**2).sum(), ((areas >= SMALL**2) & (areas < MEDIUM**2)).sum()
    audit.lines = [
        f"{len(coco.used):,} objects, {masks:,} with masks: {small:,} small (below {SMALL} x {SMALL} pixels), "
        f"{medium:,} medium, {len(areas) - small - medium:,} large (from {MEDIUM} x {MEDIUM})",
        *chain.from_iterable(
            [f"note: {count:,} {what}"] if count else []
            for count, what in (
                (empty, "images have no object: detectors of mmdet train without them where filter_empty_gt=True"),
                (int((sides < TINY).sum()), f"boxes have a side below {TINY} pixels"),
                (crowd, "objects are crowds, which neither train nor count"),
            )
        ),
        *(f"note: {name!r} {ROOT}" for name in _roots(coco)),
    ]


def _roots(coco: CocoFile) -> list[str]:
    """Return the names of categories without annotations that are supercategories of others."""
    used = {each["category_id"] for each in coco.annotations}
    return [each["name"] for each in coco.categories if each["name"] in coco.parents and each["id"] not in used]


def object_table(audits: list[SplitAudit]) -> str:
    """Tabulate the objects of each class, and the images that have it, for each split."""
    audits = [audit for audit in audits if audit.objects and audit.classes == audits[0].classes]
    if not audits:
        return ""
    width = max(map(len, audits[0].classes))
    columns = [max(25, len(audit.split) + len(" objects") + 2) for audit in audits]
    heads = [f"{audit.split + ' objects':>{column}}{'images':>9}" for audit, column in zip(audits, columns)]
    lines = [" " * width + "".join(heads)]
    for number, name in enumerate(audits[0].classes):
        cells = [f"{a.objects[number]:>{column},}{a.seen_in[number]:>9,}" for a, column in zip(audits, columns)]
        lines.append(f"{name:{width}}" + "".join(cells))
    return "\n".join(lines)
