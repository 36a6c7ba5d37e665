"""Tiny data sets in the folder layouts that configs expect."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image


def write_pair(image: Path, mask: Path, size: tuple[int, int], labels: np.ndarray, rng: np.random.Generator) -> None:
    """Write an image (height, width) of noise over flat colours, and its mask of 8-pixel blocks of the labels."""
    height, width = size
    blocks = rng.choice(labels, size=(-(-height // 8), -(-width // 8)))
    pixels = blocks.repeat(8, axis=0).repeat(8, axis=1)[:height, :width]
    colours = np.stack([(pixels * k) % 256 for k in (37, 91, 151)], axis=-1)
    noisy = np.clip(colours + rng.integers(-8, 9, colours.shape), 0, 255).astype(np.uint8)
    for path in (image, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noisy).save(image)
    Image.fromarray(pixels.astype(np.uint8)).save(mask)


def write_ade20k(root: Path, train: int = 4, val: int = 2, size: tuple[int, int] = (64, 80)) -> Path:
    """Write a set in ADE20K's layout; masks hold 0 (other) and 1 to 150."""
    rng = np.random.default_rng(0)
    for split, count in (("training", train), ("validation", val)):
        for i in range(count):
            name = f"ADE_{split}_{i:08d}"
            write_pair(
                root / "images" / split / f"{name}.jpg",
                root / "annotations" / split / f"{name}.png",
                size,
                np.arange(151),
                rng,
            )
    return root


def write_pascal_context(root: Path, train: int = 4, val: int = 2, size: tuple[int, int] = (64, 80)) -> Path:
    """Write a set in mmseg's layout of PASCAL Context; masks hold 0 (background) to 59."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        names = [f"2008_{split}_{i:06d}" for i in range(count)]
        for name in names:
            write_pair(
                root / "JPEGImages" / f"{name}.jpg",
                root / "SegmentationClassContext" / f"{name}.png",
                size,
                np.arange(60),
                rng,
            )
        lists = root / "ImageSets" / "SegmentationContext"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{split}.txt").write_text("\n".join(names) + "\n")
    return root


def write_camvid(root: Path, train: int = 6, val: int = 2, size: tuple[int, int] = (48, 64)) -> Path:
    """Write a set in our CamVid layout; masks hold 0 to 10, and 255 for void."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for i in range(count):
            write_pair(
                root / "images" / split / f"{i:04d}.jpg",
                root / "annotations" / split / f"{i:04d}.png",
                size,
                np.array([*range(11), 255]),
                rng,
            )
    return root
