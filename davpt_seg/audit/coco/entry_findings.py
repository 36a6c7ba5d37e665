"""Entries of COCO's annotation files that contradict each other, or the config's classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Optional

from ..findings import Finding
from .coco_file import CocoFile, names_of


def entry_findings(coco: CocoFile, classes: Optional[Sequence[str]]) -> Iterator[Finding]:
    """Yield ids and names that are there twice, references that lead nowhere, and classes that the file has otherwise.

    Args:
        coco: annotation file whose entries have the right form.
        classes: the config's; None for those of the file.
    """
    for what in ("images", "annotations", "categories"):
        for number in _twice(entry["id"] for entry in getattr(coco, what)):
            yield Finding("id twice", f"{what}, id {number}")
    categories = {category["id"] for category in coco.categories}
    for annotation in coco.annotations:
        if annotation["image_id"] not in coco.by_id:
            yield Finding("no image", f"annotation {annotation['id']}", f"image_id {annotation['image_id']}")
        if annotation["category_id"] not in categories:
            yield Finding("no category", coco.place(annotation), f"category_id {annotation['category_id']}")
    names = names_of(coco.categories) if classes is None else classes
    yield from _class_findings(coco, names)
    known = {category["id"] for category in coco.categories if category["name"] in set(names)}
    if not any(annotation["category_id"] in known for annotation in coco.used):
        yield Finding("no annotation", coco.path, f"{len(coco.images):,} images")


def ignored(coco: CocoFile) -> Iterator[Finding]:
    """Yield annotations that mmdet omits by ``ignore``; pycocotools' scores omit those of ``iscrowd``."""
    for annotation in coco.annotations:
        if annotation.get("ignore") and not annotation.get("iscrowd"):
            yield Finding("ignored", coco.place(annotation))


def same_objects(coco: CocoFile) -> Iterator[Finding]:
    """Yield annotations with the image, category and box of an earlier one."""
    seen = set()
    for annotation in coco.used:
        key = (annotation["image_id"], annotation["category_id"], *annotation["bbox"])
        if key in seen:
            yield Finding("same object", coco.place(annotation), f"bbox {annotation['bbox']}")
        seen.add(key)


def _class_findings(coco: CocoFile, classes: Sequence[str]) -> Iterator[Finding]:
    names = names_of(coco.categories)
    for name in _twice(names):
        if name in classes:
            ids = [category["id"] for category in coco.categories if category["name"] == name]
            yield Finding("name twice", repr(name), f"ids {' and '.join(map(str, ids))}")
    missing = [name for name in classes if name not in set(names)]
    for name in missing:
        yield Finding("class missing", repr(name), f"the file has {', '.join(map(repr, names[:8]))}")
    there = [name for name in dict.fromkeys(names) if name in set(classes)]
    if not missing:
        moved = [(number, name) for number, name in enumerate(classes) if there[number : number + 1] != [name]]
        for number, name in moved:
            yield Finding("class order", repr(name), f"number {number} of the classes, {there.index(name)} in the file")


def _twice(values: Iterator[Any] | Collection[Any]) -> list[Any]:
    return [value for value, count in Counter(values).items() if count > 1]
