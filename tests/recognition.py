"""Tiny classification data sets in the layouts of VTAB-1k and of FGVC with VPT's splits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from davpt_seg.datasets import FGVC_SETS, VTAB_SETS

RELEASES = {  # folder of each release's images below the root, and the class in a path
    "cub": ("images", "{id:03d}.Bird_{id}/Bird_{id}_{i:04d}.jpg"),
    "nabirds": ("images", "{id:04d}/{i:08x}.jpg"),
    "flowers": ("", "jpg/image_{i:05d}.jpg"),
    "dogs": ("Images", "n{id:08d}-dog_{id}/n{id:08d}_{i}.jpg"),
    "cars": ("", "cars_train/{i:05d}.jpg"),
}


def write_image(path: Path, label: int, rng: np.random.Generator, size: int = 16) -> None:
    """Write a square with its class's colour and texture, and noise: all differ, and classes can be learned."""
    colour = np.array([(37 * label) % 256, (91 * label + 60) % 256, (151 * label + 120) % 256])
    stripes = 40 * ((np.arange(size) // (1 + label % 3)) % 2)[:, None, None]
    pixels = np.clip(colour + stripes + rng.integers(-24, 25, (size, size, 3)), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, quality=95)


def write_vtab(
    root: Path,
    name: str = "dtd",
    train: int = 8,
    val: int = 4,
    test: int = 4,
    num_classes: Optional[int] = None,
    size: int = 16,
) -> Path:
    """Write a VTAB-1k task, ``root/name``, with classes in turn, and a ``classes.txt`` for a custom set.

    Args:
        root: VTAB's folder.
        name: name of the task.
        train, val, test: numbers of images of train800, val200 and test.
        num_classes: number of classes; by default that of the task, or 4 for a custom set.
        size: side of the images.

    Returns:
        The root.
    """
    rng = np.random.default_rng(0)
    folder = root / name
    num_classes = num_classes or (VTAB_SETS[name].num_classes if name in VTAB_SETS else 4)
    lines: dict[str, list[str]] = {}
    for split, count in (("train800", train), ("val200", val), ("test", test)):
        lines[split] = [f"images/{split}/{i:06d}.jpg {i % num_classes}\n" for i in range(count)]
        for i in range(count):
            write_image(folder / "images" / split / f"{i:06d}.jpg", i % num_classes, rng, size)
    lines["train800val200"] = lines["train800"] + lines["val200"]
    folder.mkdir(parents=True, exist_ok=True)
    for split, listed in lines.items():
        (folder / f"{split}.txt").write_text("".join(listed))
    if name not in VTAB_SETS:
        (folder / "classes.txt").write_text("".join(f"kind {c}\n" for c in range(num_classes)))
    return root


def write_fgvc(
    root: Path,
    name: str = "dogs",
    per_class: Optional[Mapping[str, int]] = None,
    num_classes: Optional[int] = None,
    size: int = 16,
) -> Path:
    """Write an FGVC data set into ``root`` with the class ids of its release: from 1, NABirds' with gaps.

    Args:
        root: folder of the set, for instance ``FGVC_ROOT/CUB_200_2011``.
        name: one of the five.
        per_class: images of each class in each split; by default one in each.
        num_classes: number of classes; by default that of the set.
        size: side of the images.

    Returns:
        The root.
    """
    rng = np.random.default_rng(0)
    folder, pattern = RELEASES[name]
    ids = [3 * c + 295 if name == "nabirds" else c + 1 for c in range(num_classes or FGVC_SETS[name].num_classes)]
    i = 0
    for split in ("train", "val", "test"):
        listed = {}
        for label, class_id in enumerate(ids):
            for _ in range((per_class or {}).get(split, 1)):
                path = pattern.format(id=class_id, i=i)
                write_image(root / folder / path, label, rng, size)
                listed[path] = class_id
                i += 1
        root.mkdir(parents=True, exist_ok=True)
        (root / f"{split}.json").write_text(json.dumps(listed))
    if name in ("cub", "nabirds"):
        (root / "classes.txt").write_text("".join(f"{class_id} Bird {class_id}\n" for class_id in ids))
    return root
