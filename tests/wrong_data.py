"""Wrong inputs in a segmentation folder: files, numbering of masks, orientation of images."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from .scenes import write_camvid
from .wrong_case import wrong
from .wrong_inputs import CAMVID, camvid_at, check, train

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
