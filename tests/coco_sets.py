"""Small data sets in COCO's format: bright rectangles and their boxes, exact."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

CLASSES = ("cup", "pen")
SIZE = (112, 96)  # width and height in pixels


def coco_content(names: list[str], masks: bool = True) -> dict[str, Any]:
    """Return annotations of images: two objects in each, ids from 1."""
    rng = np.random.default_rng(len(names))
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, len(names) + 1):
        for category_id in (1, 2):
            width, height = (int(side) for side in rng.integers(16, 40, 2))
            left, top = int(rng.integers(0, SIZE[0] - width)), int(rng.integers(0, SIZE[1] - height))
            right, bottom = left + width, top + height
            entry = dict(
                id=len(annotations) + 1, image_id=image_id, category_id=category_id, bbox=[left, top, width, height],
                area=width * height, iscrowd=0,
            )  # fmt: skip
            if masks:
                entry["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
            annotations.append(entry)
    images = [dict(id=n, file_name=name, width=SIZE[0], height=SIZE[1]) for n, name in enumerate(names, 1)]
    categories = [dict(id=n, name=name, supercategory="thing") for n, name in enumerate(CLASSES, 1)]
    return dict(images=images, annotations=annotations, categories=categories)


def write_images(folder: Path, content: dict[str, Any]) -> None:
    """Draw the images of annotations."""
    for image in content["images"]:
        pixels = np.full((SIZE[1], SIZE[0], 3), 60, np.uint8)
        for each in content["annotations"]:
            if each["image_id"] == image["id"]:
                left, top, width, height = each["bbox"]
                pixels[top : top + height, left : left + width] = (250, 120 * each["category_id"] - 100, 20)
        path = folder / image["file_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_coco(root: Path, masks: bool = True, train: int = 6, val: int = 3) -> Path:
    """Write COCO's layout: ``annotations/instances_{train,val}.json`` with ``train/`` and ``val/``."""
    for split, count in (("train", train), ("val", val)):
        content = coco_content([f"{split}{n}.png" for n in range(count)], masks)
        write_images(root / split, content)
        write_json(root / "annotations" / f"instances_{split}.json", content)
    return root


def change(path: Path, *keys: Any, **values: Any) -> None:
    """Set values of an object in a JSON file, which keys lead to; a value of ``...`` deletes its key."""
    content = json.loads(path.read_text())
    node = content
    for key in keys:
        node = node[key]
    for name, value in values.items():
        if value is ...:
            del node[name]
        else:
            node[name] = value
    path.write_text(json.dumps(content))
