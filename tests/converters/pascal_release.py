"""Small releases of PASCAL Context: VOC2010, .mat label maps with labels.txt, and trainval_merged.json."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import scipy.io
from PIL import Image

from davpt_seg.converters.pascal_context import CLASS_IDS, NUM_NAMES

SPLITS = {"train": ["2008_000002", "2008_000003", "2010_000004"], "val": ["2008_000007", "2009_000001"]}


def write_voc(root: Path, size: tuple[int, int] = (30, 44)) -> Path:
    """Write VOC2010's images and lists."""
    (root / "JPEGImages").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for split, names in SPLITS.items():
        (root / "ImageSets" / "Main" / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            Image.new("RGB", (size[1], size[0])).save(root / "JPEGImages" / f"{name}.jpg")
    return root


def label_maps(size: tuple[int, int] = (30, 44)) -> dict[str, np.ndarray]:
    """Return a random map of the numbers 0 to 459 for each image; together they hold all 59 classes."""
    rng = np.random.default_rng(0)
    numbers = np.array([0, *CLASS_IDS.values(), 1, 17, NUM_NAMES])
    maps = {}
    for i, name in enumerate(SPLITS["train"] + SPLITS["val"]):
        blocks = rng.choice(numbers, size=(-(-size[0] // 3), -(-size[1] // 3)))
        blocks.flat[: len(numbers)] = np.roll(numbers, i)
        maps[name] = blocks.repeat(3, axis=0).repeat(3, axis=1)[: size[0], : size[1]]
    return maps


def write_labels(path: Path) -> Path:
    """Write labels.txt: the 59 classes at their places, and other names between them."""
    names = {number: name for name, number in CLASS_IDS.items()}
    lines = [f"{number}: {names.get(number, f'thing {number}')}\n" for number in range(1, NUM_NAMES + 1)]
    path.write_text("".join(lines))
    return path


def write_mats(folder: Path, maps: dict[str, np.ndarray]) -> Path:
    """Write the files of trainval.tar.gz."""
    (folder / "trainval").mkdir(parents=True)
    for name, label_map in maps.items():
        scipy.io.savemat(folder / "trainval" / f"{name}.mat", {"LabelMap": label_map.astype(np.uint16)})
    write_labels(folder / "labels.txt")
    return folder


def write_json(path: Path, maps: dict[str, np.ndarray]) -> Path:
    """Write trainval_merged.json; a region of 'table' under everything shows that the last region is on top.

    Numbers outside the 59 classes have no region there, and an image of phase test has no mask.
    """
    images, regions = [], []
    for image_id, (name, label_map) in enumerate(maps.items()):
        (split,) = [split for split, names in SPLITS.items() if name in names]
        height, width = label_map.shape
        images.append(dict(file_name=f"{name}.jpg", image_id=image_id, height=height, width=width, phase=split))
        layers = [(CLASS_IDS["table"], np.isin(label_map, list(CLASS_IDS.values())))]
        layers += [(number, label_map == number) for number in CLASS_IDS.values() if (label_map == number).any()]
        for number, inside in layers:
            code = dict(size=[height, width], counts=encode_rle(inside))
            regions.append(dict(id=len(regions), image_id=image_id, category_id=number, segmentation=code))
    images.append(dict(file_name="2008_999999.jpg", image_id=-1, height=1, width=1, phase="test"))
    path.write_text(json.dumps({"images": images, "annos_segmentation": regions, "categories": []}))
    return path


def encode_rle(mask: np.ndarray) -> str:
    """Return COCO's compressed run-length code of a mask, by a slow and obvious method."""
    runs, current = [0], False
    for pixel in mask.T.ravel():  # column by column
        if bool(pixel) != current:
            runs.append(0)
            current = not current
        runs[-1] += 1
    text = ""
    for i, run in enumerate(runs):
        number = run - runs[i - 2] if i > 2 else run
        while True:
            low, number = number & 31, number >> 5
            last = number == (-1 if low & 16 else 0)
            text += chr(48 + (low if last else low | 32))
            if last:
                break
    return text
