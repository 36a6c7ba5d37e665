"""COCO's annotation files: images, annotations and categories, with the values that training and evaluation read."""

from __future__ import annotations

import logging
import math
import os
import os.path as osp
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ...errors import DataError, some
from ...text_files import read_json
from ..findings import Finding

logger = logging.getLogger("davpt_seg")

LARGE = 100 * 2**20  # bytes of a file that takes seconds to read
LISTS = ("images", "annotations", "categories")
BIGGEST = 1e9  # pixels; no coordinate is larger


@dataclass
class CocoFile:
    """An annotation file.

    Attributes:
        path: the file.
        images, annotations, categories: its entries, as they are.
    """

    path: str
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]

    @cached_property
    def by_id(self) -> dict[int, Any]:
        """Return the images by their ids."""
        return {image["id"]: image for image in self.images}

    @cached_property
    def parents(self) -> frozenset[str]:
        """Return the names that categories have as supercategory; some exporters write a category's own name there."""
        named = ((str(each.get("supercategory") or ""), each["name"]) for each in self.categories)
        return frozenset(parent for parent, name in named if parent and parent != name)

    @cached_property
    def used(self) -> list[Any]:
        """Return the annotations of known images that are not marked by ``ignore``."""
        return [each for each in self.annotations if not each.get("ignore") and each["image_id"] in self.by_id]

    @cached_property
    def boxes(self) -> np.ndarray:
        """Return the boxes of :attr:`used`: left, top, width and height in pixels, (N, 4)."""
        return np.array([each["bbox"] for each in self.used], float).reshape(-1, 4)

    @cached_property
    def sizes(self) -> np.ndarray:
        """Return the width and height of the image of each box, (N, 2)."""
        images = [self.by_id[each["image_id"]] for each in self.used]
        return np.array([(image["width"], image["height"]) for image in images], float).reshape(-1, 2)

    def place(self, annotation: Mapping[str, Any]) -> str:
        """Name an annotation, for messages."""
        image = self.by_id.get(annotation["image_id"])
        return f"annotation {annotation['id']} of {image['file_name'] if image else annotation['image_id']}"


def read_coco(path: str) -> CocoFile:
    """Read an annotation file; its entries are checked by :func:`form_findings`.

    Raises:
        DataError: no such file, no JSON, or no COCO.
    """
    if not osp.isfile(path):
        raise DataError(f"annotation file {path!r} does not exist")
    if osp.getsize(path) > LARGE:
        logger.info("Reading %s (%.0f MB)", path, osp.getsize(path) / 2**20)
    content = read_json(path)
    expected = f"expected is COCO's format, an object with the lists {', '.join(LISTS)}"
    if not isinstance(content, dict):
        what = "a list, as results of a prediction are" if isinstance(content, list) else repr(content)[:80]
        raise DataError(f"{path} holds {what}; {expected}")
    for name in LISTS:
        if name not in content:
            raise DataError(f"{path} has no {name!r}, but {some(list(content)) or 'nothing'}; {expected}")
        if not isinstance(content[name], list):
            raise DataError(f"{path}: {name!r} holds {repr(content[name])[:80]}; {expected}")
    return CocoFile(path, *(content[name] for name in LISTS))


def form_findings(coco: CocoFile, evaluated: bool) -> list[Finding]:
    """Find entries that lack a value, or have another kind of it.

    Args:
        coco: annotation file.
        evaluated: whether scores are computed by it, which reads ``iscrowd``.
    """
    found = []
    for name, forms in FORMS.items():
        for number, entry in enumerate(getattr(coco, name)):
            problem = _problem(entry, {**forms, **CROWD} if name == "annotations" and evaluated else forms)
            if problem:
                where = f", id {entry['id']}" if isinstance(entry, dict) and "id" in entry else ""
                found.append(Finding("form", f"{name}[{number}]{where}"[:120], problem))
    return found


def _problem(entry: Any, forms: Mapping[str, tuple[str, Callable[[Any], bool]]]) -> str:
    if not isinstance(entry, dict):
        return f"must be an object, got {repr(entry)[:80]}"
    for key, (expected, fits) in forms.items():
        if key not in entry:
            return f"has no {key!r}, {expected}"
        if not fits(entry[key]):
            return f"{key} must be {expected}; got {repr(entry[key])[:80]}"
    return ""


def is_integer(value: Any) -> bool:
    """Return whether a value of JSON is an integer of 64 bits."""
    return type(value) is int and -(2**63) <= value < 2**63


def is_number(value: Any) -> bool:
    """Return whether a value of JSON is a number that a coordinate in pixels may be."""
    return type(value) in (int, float) and -BIGGEST < value < BIGGEST


def _is_box(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 4 and all(map(is_number, value))


def _is_side(value: Any) -> bool:
    return is_number(value) and value > 0


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and "{{" not in value


def _is_path(value: Any) -> bool:
    """Return whether a text names a file below a folder."""
    if not isinstance(value, str) or not value or "\0" in value or osp.isabs(value):
        return False
    return not osp.normpath(value).startswith(os.pardir + os.sep) and osp.normpath(value) not in (os.pardir, os.curdir)


Forms = dict[str, tuple[str, Callable[[Any], bool]]]
ID = ("an integer", is_integer)
SIDE = ("a number of pixels above 0", _is_side)
CROWD: Forms = {
    "iscrowd": (
        "0 or 1 (1: a group of objects, which scores ignore)",
        lambda value: type(value) is int and value in (0, 1),
    )
}
FORMS: Mapping[str, Forms] = {
    "images": {
        "id": ID,
        "file_name": ("a path below the folder of the images, without '..'", _is_path),
        "width": SIDE,
        "height": SIDE,
    },
    "annotations": {
        "id": ID,
        "image_id": ID,
        "category_id": ID,
        "bbox": ("four finite numbers in pixels: [left, top, width, height]", _is_box),
        "area": (
            "a number of square pixels (of the mask, or width x height of the box)",
            lambda value: type(value) in (int, float) and abs(value) < BIGGEST**2 and not math.isnan(value),
        ),
    },
    "categories": {"id": ID, "name": ("a text, without '{{', which MMEngine's configs replace", _is_name)},
}


def names_of(categories: Sequence[Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the names of categories, in the order of the file: mmdet numbers labels so."""
    return tuple(each["name"] for each in categories)
