"""Boxes of COCO's annotation files that are in another form or place than COCO's."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..findings import Finding
from .coco_file import CocoFile

ROUNDING = 1.0  # pixels that boxes go beyond a border in official releases
MANY = 0.1  # share of the boxes that would go beyond the border, if corners were taken for sizes


def box_findings(coco: CocoFile) -> Iterator[Finding]:
    """Yield boxes that mmdet leaves out or misreads, or one finding for all if their form is another one.

    Args:
        coco: annotation file whose entries have the right form.
    """
    boxes, sizes = coco.boxes, coco.sizes
    if not len(boxes):
        return
    form = _other_form(boxes, sizes, np.array([each["area"] for each in coco.used], float))
    if form:
        kind, detail = form
        yield Finding(kind, coco.path, f"{detail}; the first box is {coco.used[0]['bbox']}")
        return
    first, last = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    areas = np.array([each["area"] for each in coco.used], float)
    empty = (boxes[:, 2:] < 1).any(1) | (areas <= 0)
    outside = ~empty & ((np.minimum(last, sizes) - np.maximum(first, 0)) <= 0).any(1)
    beyond = ~empty & ~outside & ((first < -ROUNDING) | (last > sizes + ROUNDING)).any(1)
    for kind, chosen in (("empty box", empty), ("box outside", outside), ("box beyond", beyond)):
        for number in np.flatnonzero(chosen):
            annotation = coco.used[number]
            detail = (
                f"bbox {annotation['bbox']}, area {annotation['area']}"
                if kind == "empty box"
                else (f"bbox {annotation['bbox']} in an image of {sizes[number, 0]:g} x {sizes[number, 1]:g}")
            )
            yield Finding(kind, coco.place(annotation), detail)


def _other_form(boxes: np.ndarray, sizes: np.ndarray, areas: np.ndarray) -> tuple[str, str] | None:
    """Return the kind of the finding if all boxes are normalised or corners, and why."""
    if (boxes >= 0).all() and (boxes <= 1).all() and (boxes > 0).any():
        return "normalised", f"{len(boxes):,} boxes"
    first, last = boxes[:, :2], boxes[:, 2:]
    corners = (last > first).all() and (last <= sizes + ROUNDING).all() and (first >= -ROUNDING).all()
    if not corners:
        return None
    beyond = (first + last > sizes + ROUNDING).any(1).mean()
    as_corners, as_sizes = np.prod(last - first, 1), np.prod(last, 1)
    fits = np.isclose(areas, as_corners) & ~np.isclose(areas, as_sizes)
    if beyond >= MANY or fits.mean() > 0.5:
        return "corners", f"read as sizes, {beyond:.0%} of {len(boxes):,} boxes go beyond their images"
    return None
