"""Wrong inputs in a segmentation folder: files, numbering of masks, orientation of images."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Optional
from unittest import mock

import numpy as np
from PIL import Image

from .datasets.test_unreadable import png
from .scenes import write_camvid, write_pascal_context
from .wrong_case import wrong
from .wrong_inputs import CAMVID, PASCAL_CONTEXT, camvid_at, check, train

TRAIN_AND_VAL = ("train", "val")
ZERO_IS_VOID = [f"{split}_dataloader.dataset.reduce_zero_label=True" for split in TRAIN_AND_VAL]


def masks(folder: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Write a tiny CamVid and change the values of all its masks."""
    for path in write_camvid(folder).glob("annotations/*/*.png"):
        Image.fromarray(change(np.array(Image.open(path)))).save(path)


def tag(folder: Path, orientation: int) -> None:
    """Write a tiny CamVid, one of whose images has an Exif orientation."""
    path = write_camvid(folder) / "images" / "train" / "0003.jpg"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.open(path).save(path, exif=exif)


@wrong("Data", "two classes stored as 0 and 255", "hold only 0 and 255: 255 is void", "mask[mask == 255] = 1")
def _(folder: Path) -> None:
    masks(folder, lambda mask: np.where(mask == 3, 255, 0).astype(np.uint8))
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "`reduce_zero_label=True` where 0 is a class", "in no split 11, the last class ('bicyclist')")
def _(folder: Path) -> None:
    write_camvid(folder)
    train(CAMVID, *camvid_at(folder), *ZERO_IS_VOID)


@wrong("Data", "masks that are completely void", "none of 6 masks holds a class", "255, void under this config")
def _(folder: Path) -> None:
    masks(folder, lambda mask: np.full_like(mask, 255))
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "class numbers times 20", "masks hold class numbers times 20: divide them by 20")
def _(folder: Path) -> None:
    masks(folder, lambda mask: np.where(mask == 255, 255, mask * 20).astype(np.uint8))
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "masks resized with interpolation", "6 of 6 masks that were read", "nearest neighbour, saved as PNG")
def _(folder: Path) -> None:
    for path in write_camvid(folder).glob("annotations/*/*.png"):
        values = np.minimum(np.array(Image.open(path)), 10)
        Image.fromarray(values).resize((128, 96), Image.Resampling.BILINEAR).save(path)
    train(CAMVID, *camvid_at(folder))


@wrong(
    "Data", "`.JPG` beside `.jpg`", "1 images that have a mask are not read", "0003.JPG", "rename them to that suffix"
)
def _(folder: Path) -> None:
    image = write_camvid(folder) / "images" / "train" / "0003.jpg"
    image.rename(image.with_suffix(".JPG"))
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "copies that a notebook made", "1 images are read from hidden folders", ".ipynb_checkpoints/0003")
def _(folder: Path) -> None:
    write_camvid(folder)
    for kind, suffix in (("images", ".jpg"), ("annotations", ".png")):
        hidden = folder / kind / "train" / ".ipynb_checkpoints"
        hidden.mkdir()
        shutil.copy(folder / kind / "train" / f"0003{suffix}", hidden / f"0003-checkpoint{suffix}")
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "an image that Exif turns and its mask does not", "size of the pixels as stored", "--drop-orientation")
def _(folder: Path) -> None:
    tag(folder, 6)
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "an image turned by 180 degrees, whose mask fits both ways", "--overlays DIR", "data_check.exif=upright")
def _(folder: Path) -> None:
    tag(folder, 3)
    train(CAMVID, *camvid_at(folder))


@wrong("Data", "a misspelled `data_check`", "data_check: 'exiv' is not known; did you mean 'exif'?")
def _(folder: Path) -> None:
    write_camvid(folder)
    train(CAMVID, *camvid_at(folder), "data_check.exiv=stored")


@wrong("Data", "one image in training and validation under two names", "is FOLDER/images/train/0003.jpg of train")
def _(folder: Path) -> str:
    write_camvid(folder)
    shutil.copy(folder / "images" / "train" / "0003.jpg", folder / "images" / "val" / "0001.jpg")
    return check(CAMVID, "--cfg-options", *camvid_at(folder))


MASK, IMAGE = "annotations/train/0003.png", "images/train/0003.jpg"


def case_of_file(does: str, name: str, content: Callable[[Path], bytes], *says: str) -> None:
    """Add a case of one image or mask with other content."""

    @wrong("Data", does, *says)
    def _(folder: Path) -> None:
        path = write_camvid(folder) / name
        path.write_bytes(content(path))
        train(CAMVID, *camvid_at(folder))


def _as(mode: str, kind: str, change: Optional[Callable[[np.ndarray], np.ndarray]] = None) -> Callable[[Path], bytes]:
    def content(path: Path) -> bytes:
        image = Image.open(path).convert(mode)
        (Image.fromarray(change(np.array(image))) if change else image).save(path, kind)
        return path.read_bytes()

    return content


case_of_file("an image above Pillow's limit", IMAGE, lambda _: png(20_000, 10_000), "200,000,000 pixels", "into tiles")
case_of_file(
    "a mask above Pillow's limit", MASK, lambda _: png(20_000, 10_000), f"{MASK}' cannot be read", "into tiles"
)
case_of_file("a mask of fractions", MASK, _as("F", "TIFF", lambda values: values / 2), MASK, "holds fractions")
case_of_file("a mask with transparent pixels", MASK, _as("LA", "PNG", np.zeros_like), MASK, "transparent in places")
case_of_file("a mask in printing colours", MASK, _as("CMYK", "TIFF"), MASK, "in printing colours")
case_of_file("a gray mask saved as RGB", MASK, _as("RGB", "PNG"), MASK, "keep one: PIL.Image.open(FILE).getchannel(0)")
case_of_file(
    "an image that is cut off", IMAGE, lambda path: path.read_bytes()[:-40], IMAGE, "it is truncated (cut off)"
)
case_of_file("a web page in place of an image", IMAGE, lambda _: b"<html>404", IMAGE, "is a web page, not an image")
case_of_file("images that Git LFS did not fetch", IMAGE, lambda _: b"version https://git-lfs", "run 'git lfs pull'")


def case_of_list(does: str, change: Callable[[bytes], bytes], *says: str) -> None:
    """Add a case of a list of images with other content."""

    @wrong("Data", does, *says)
    def _(folder: Path) -> None:
        root = write_pascal_context(folder)
        path = root / "ImageSets" / "SegmentationContext" / "train.txt"
        path.write_bytes(change(path.read_bytes()))
        with mock.patch.dict(os.environ, PASCAL_CONTEXT_ROOT=str(root)):
            train(PASCAL_CONTEXT)


case_of_list("a list with a byte-order mark", lambda text: b"\xef\xbb\xbf" + text, "train.txt starts with a byte-order")
case_of_list(
    "a list in UTF-16", lambda text: text.decode().encode("utf-16"), "train.txt is text in UTF-16", "iconv -f UTF-16"
)
case_of_list("a list in Latin-1", lambda text: b"\xe9" + text, "train.txt is not in UTF-8: line 1 holds the byte 0xe9")
case_of_list("a binary list", lambda text: bytes(range(9)), "train.txt is a binary file")
case_of_list("a list of brackets", lambda text: b"[" * 5000, "train.txt, line 1, has 5,000 letters")
case_of_list("a list that names images twice", lambda text: text + text, "4 images are listed twice", "train.txt")
case_of_list("a list with a blank line", lambda text: text + b"\n\n", "train.txt, line 5, is blank")
case_of_list("an empty list", lambda text: b"", "no name in", "train.txt")
