"""Boxes, names and masks of an annotation file, drawn over a few images."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ...datasets.pictures import UNREADABLE
from ..exif import Readers
from ..overlays import labelled, overlay
from .coco_file import CocoFile
from .coco_source import CocoSource

HUES = ((230, 25, 75), (60, 180, 75), (255, 225, 25), (0, 130, 200), (245, 130, 48), (145, 30, 180), (70, 240, 240))


def write_coco_overlays(coco: CocoFile, source: CocoSource, count: int, folder: Path) -> list[Path]:
    """Write images with their objects, evenly spaced over the file; unreadable images are omitted.

    Args:
        coco: annotation file whose entries have the right form.
        source: where the images lie, and how they are read.
        count: number of images.
        folder: output folder, created if it does not exist.
    """
    folder.mkdir(parents=True, exist_ok=True)
    objects: dict[int, list[Any]] = {}
    for each in coco.used:
        objects.setdefault(each["image_id"], []).append(each)
    names = {category["id"]: category["name"] for category in coco.categories}
    colours = {number: HUES[place % len(HUES)] for place, number in enumerate(names)}
    with_objects = [image for image in coco.images if image["id"] in objects]
    stored = Readers(source.pipeline).ignores_tags
    written: list[Path] = []
    for image in with_objects[:: max(1, len(with_objects) // max(1, count))][:count]:
        try:
            with Image.open(source.path_of(image)) as opened:
                picture = (opened if stored else ImageOps.exif_transpose(opened)).convert("RGB")
        except UNREADABLE:  # the check names it
            continue
        for each in objects[image["id"]]:
            picture = _drawn(
                picture, each, names.get(each["category_id"], "?"), colours.get(each["category_id"], HUES[0])
            )
        path = folder / f"{len(written):03d}_{Path(image['file_name']).stem}.png"
        labelled(picture, f"{image['file_name']}: {len(objects[image['id']])} objects").save(path)
        written.append(path)
    return written


def _drawn(picture: Image.Image, each: Mapping[str, Any], name: str, colour: tuple[int, int, int]) -> Image.Image:
    mask = mask_of(each.get("segmentation"), picture.height, picture.width)
    if mask is not None:
        colours = np.broadcast_to(np.array(colour, np.uint8), (*mask.shape, 3))
        picture = overlay(picture, mask, colours, painted=mask)
    left, top, width, height = each["bbox"]
    if width > 0 and height > 0:
        draw = ImageDraw.Draw(picture)
        draw.rectangle((left, top, left + width, top + height), outline=colour, width=2)
        draw.text((left + 3, top + 1), name.encode("latin-1", "replace").decode("latin-1"), fill=colour)
    return picture


def mask_of(segmentation: Any, height: int, width: int) -> Optional[np.ndarray]:
    """Return the pixels of an object, (H, W), bool; None without a mask, or for run lengths without pycocotools."""
    if isinstance(segmentation, list) and segmentation:
        image = Image.new("1", (width, height))
        for polygon in segmentation:
            if isinstance(polygon, list) and len(polygon) >= 6 and len(polygon) % 2 == 0:
                ImageDraw.Draw(image).polygon(polygon, fill=1)
        return np.asarray(image)
    if not isinstance(segmentation, dict) or importlib.util.find_spec("pycocotools") is None:
        return None
    if segmentation.get("size") != [height, width]:
        return None
    from pycocotools import mask as codes

    counts = segmentation["counts"]
    code = codes.frPyObjects(segmentation, height, width) if isinstance(counts, list) else segmentation
    return codes.decode(code).astype(bool)
