"""Masks of COCO's annotation files: polygons, or run-length codes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..findings import Finding
from .coco_file import CocoFile, is_integer, is_number

FEWEST = 6  # numbers of a polygon: three points


def mask_findings(coco: CocoFile, boxes_do: bool = False) -> Iterator[Finding]:
    """Yield annotations without a mask, or with one that mmdet and pycocotools cannot read.

    Args:
        coco: annotation file whose entries have the right form.
        boxes_do: whether an annotation without a mask is read as its box.
    """
    for annotation in coco.used:
        found = annotation.get("segmentation")
        if not found:
            if not boxes_do:
                yield Finding("no mask", coco.place(annotation))
        elif problem := _problem(found, coco.by_id[annotation["image_id"]]):
            yield Finding("bad mask", coco.place(annotation), problem)


def without_masks(coco: CocoFile) -> int:
    """Count the annotations without a mask."""
    return sum(not annotation.get("segmentation") for annotation in coco.used)


def _problem(found: Any, image: Mapping[str, Any]) -> str:
    if isinstance(found, list):
        for polygon in found:
            if not isinstance(polygon, list) or len(polygon) < FEWEST or len(polygon) % 2:
                return f"a polygon is {repr(polygon)[:60]}"
            if not all(map(is_number, polygon)):
                return f"a polygon holds {next(repr(each)[:40] for each in polygon if not is_number(each))}"
        return ""
    if not isinstance(found, dict) or not {"size", "counts"} <= found.keys():
        return repr(found)[:60]
    if found["size"] != [image["height"], image["width"]]:
        return f"size {repr(found['size'])[:40]}, the image has [{image['height']}, {image['width']}]"
    return _count_problem(found["counts"], image["height"] * image["width"])


def _count_problem(counts: Any, pixels: int) -> str:
    """Describe what is wrong with the run lengths of a mask, which must sum to its pixels."""
    if isinstance(counts, str):
        decoded = _decoded(counts)
        if decoded is None:
            return f"counts {counts[:40]!r} is no compressed run-length code"
        counts = decoded
    if not isinstance(counts, list) or not all(is_integer(each) and each >= 0 for each in counts):
        return f"counts {repr(counts)[:40]}"
    return "" if sum(counts) == pixels else f"counts sum to {sum(counts):,}, the image has {pixels:,} pixels"


def _decoded(text: str) -> list[int] | None:
    """Return the run lengths of a compressed code, as pycocotools' rleFrString reads it; None if it is cut off."""
    counts: list[int] = []
    place, value, shift = 0, 0, 0
    while place < len(text):
        bits = ord(text[place]) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 31) << shift
        shift += 5
        place += 1
        if not bits & 32:
            if bits & 16:
                value |= -1 << shift
            counts.append(value + (counts[-2] if len(counts) > 2 else 0))
            value, shift = 0, 0
    return None if shift else counts
