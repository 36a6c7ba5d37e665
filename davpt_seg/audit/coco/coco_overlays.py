"""Boxes, names and masks of an annotation file, drawn over a few images."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from ...datasets.pictures import UNREADABLE
from ...visualization.boxes import boxes_picture
from ...visualization.class_colours import colours_of
from ...visualization.class_names import shown
from ...visualization.detections import Detections
from ..exif import Readers
from .coco_file import CocoFile
from .coco_source import CocoSource

SIDE = 1024  # pixels of a drawn image's longer side, at most
OPACITY = 0.4  # of masks


def write_coco_overlays(coco: CocoFile, source: CocoSource, count: int, folder: Path) -> list[Path]:
    """Write images with their objects, evenly spaced over the file; unreadable images are omitted.

    Colours are PASCAL VOC's, in the order of the categories.

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
    names = {category["id"]: str(category["name"]) for category in coco.categories}
    for number in {each["category_id"] for each in coco.used} - names.keys():
        names[number] = f"unknown category {number}"
    palette = colours_of(None, len(names))
    with_objects = [image for image in coco.images if image["id"] in objects]
    stored = Readers(source.pipeline).ignores_tags
    written: list[Path] = []
    for image in with_objects[:: max(1, len(with_objects) // max(1, count))][:count]:
        try:
            with Image.open(source.path_of(image)) as opened:
                picture = (opened if stored else ImageOps.exif_transpose(opened)).convert("RGB")
        except UNREADABLE:  # the check names it
            continue
        size = picture.size
        picture.thumbnail((SIDE, SIDE))
        found, texts = _drawable(objects[image["id"]], names, size, picture.size)
        title = f"{shown(image['file_name'])}: {len(objects[image['id']])} objects"
        figure = boxes_picture(np.asarray(picture), found, list(names.values()), palette, title, OPACITY, texts)
        path = folder / f"{len(written):03d}_{Path(image['file_name']).stem}.png"
        figure.savefig(path)
        written.append(path)
    return written


def _drawable(
    objects: Sequence[Mapping[str, Any]], names: Mapping[int, str], size: tuple[int, int], reduced: tuple[int, int]
) -> tuple[Detections, list[str]]:
    """Return the objects that have an area, small ones above large ones, and their labels.

    Args:
        objects: annotations of an image.
        names: names of the categories, by id.
        size: width and height of the image.
        reduced: those of the drawn one.
    """
    drawn = sorted((each for each in objects if min(each["bbox"][2:]) > 0), key=lambda each: np.prod(each["bbox"][2:]))
    masks = np.zeros((len(drawn), *reduced[::-1]), bool)
    for place, each in enumerate(drawn):
        mask = mask_of(each.get("segmentation"), size[1], size[0])
        if mask is not None:
            masks[place] = np.asarray(Image.fromarray(mask).resize(reduced))
    boxes = np.array([each["bbox"] for each in drawn], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes *= np.tile(np.divide(reduced, size), 2).astype(np.float32)
    places = {number: place for place, number in enumerate(names)}
    labels = np.array([places[each["category_id"]] for each in drawn], np.int64)
    texts = [shown(names[each["category_id"]]) + " (crowd)" * bool(each.get("iscrowd")) for each in drawn]
    return Detections(boxes, np.ones(len(drawn), np.float32), labels, masks), texts


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
