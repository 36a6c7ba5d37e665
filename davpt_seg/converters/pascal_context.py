"""Reading of the two releases of PASCAL Context's labels, without the ``detail`` package.

* ``trainval/*.mat`` with ``labels.txt``, the original (Mottaghi et al., CVPR 2014): a ``LabelMap`` of 459 names each.
* ``trainval_merged.json``, PASCAL in Detail: regions in COCO's run-length code, of the same 459 numbers.

They do not agree in every pixel (https://github.com/open-mmlab/mmsegmentation/pull/474); published results of mmseg use
the second.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional, Protocol

import numpy as np

from ..errors import DataError, InputError, near_names
from ..text_files import read_json, read_text
from .mat_files import read_mat

# The 59 frequent classes in mmseg's order, and their numbers among the 459 of labels.txt and trainval_merged.json.
CLASS_IDS = {
    "aeroplane": 2, "bag": 9, "bed": 18, "bedclothes": 19, "bench": 22, "bicycle": 23, "bird": 25, "boat": 31,
    "book": 33, "bottle": 34, "building": 44, "bus": 45, "cabinet": 46, "car": 59, "cat": 65, "ceiling": 68,
    "chair": 72, "cloth": 80, "computer": 85, "cow": 98, "cup": 104, "curtain": 105, "dog": 113, "door": 115,
    "fence": 144, "floor": 158, "flower": 159, "food": 162, "grass": 187, "ground": 189, "horse": 207,
    "keyboard": 220, "light": 232, "motorbike": 258, "mountain": 259, "mouse": 260, "person": 284, "plate": 295,
    "platform": 296, "pottedplant": 308, "road": 324, "rock": 326, "sheep": 347, "shelves": 349, "sidewalk": 354,
    "sign": 355, "sky": 360, "snow": 366, "sofa": 368, "table": 397, "track": 415, "train": 416, "tree": 420,
    "truck": 424, "tvmonitor": 427, "wall": 440, "water": 445, "window": 454, "wood": 458,
}  # fmt: skip
NUM_NAMES = 459


class Release(Protocol):
    """Interface of a release: the images of each split, and the missing file of each image without annotation."""

    splits: dict[str, list[str]]
    missing: dict[str, str]

    def mask(self, name: str) -> np.ndarray:
        """Return an image's mask (H, W), uint8: 0 background, 1 to 59 the classes.

        Raises:
            DataError: the annotation cannot be read; the message names it.
        """


class MatRelease:
    """``trainval/*.mat`` and ``labels.txt``; its splits are VOC2010's train and val lists.

    Args:
        folder: folder with the ``.mat`` files, or its parent.
        voc: folder ``VOC2010``, with ``ImageSets/Main/{train,val}.txt``.
        labels: file ``labels.txt``; by default the one in ``folder`` or its parent.

    Raises:
        DataError: a missing folder, list or ``labels.txt``, or a ``labels.txt`` without one of the 59 classes.
    """

    def __init__(self, folder: Path, voc: Path, labels: Optional[Path] = None) -> None:
        self.folder = next((f for f in (folder, folder / "trainval") if any(f.glob("*.mat"))), folder)
        if not any(self.folder.glob("*.mat")):
            raise DataError(f"{folder}: no .mat files here; give the folder that trainval.tar.gz was unpacked to")
        places = [labels] if labels else [f / "labels.txt" for f in (folder, self.folder, self.folder.parent)]
        found = next((path for path in places if path.is_file()), None)
        if found is None:
            where = ", ".join(dict.fromkeys(map(str, places)))
            raise DataError(
                f"labels.txt, which names the 459 numbers in the .mat files, is not at {where}; it comes with "
                "trainval.tar.gz: give its path with --labels"
            )
        self.table = class_table(read_labels(found))
        lists = {split: voc / "ImageSets" / "Main" / f"{split}.txt" for split in ("train", "val")}
        self.splits = {split: _read_list(path) for split, path in lists.items()}
        there = {path.stem for path in self.folder.glob("*.mat")}
        listed = (name for names in self.splits.values() for name in names)
        self.missing = {name: str(self.folder / f"{name}.mat") for name in listed if name not in there}

    def mask(self, name: str) -> np.ndarray:
        """See :meth:`Release.mask`."""
        path = self.folder / f"{name}.mat"
        return to_classes(read_mat(path, "LabelMap"), self.table, path)


class MergedJson:
    """``trainval_merged.json``; its splits are the images of phase train and val.

    Raises:
        DataError: the file does not exist or is not complete.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.table = class_table(CLASS_IDS)
        try:
            content = read_json(path)
            self.images = {Path(image["file_name"]).stem: image for image in content["images"]}
            self.regions: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
            for annotation in content["annos_segmentation"]:
                self.regions[annotation["image_id"]].append(annotation)
            self.splits = {
                split: sorted(name for name, image in self.images.items() if image["phase"] == split)
                for split in ("train", "val")
            }
        except FileNotFoundError as error:
            raise DataError(f"{path}: does not exist") from error
        except DataError as error:
            raise DataError(f"{error}: it is not a complete trainval_merged.json, get it again") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(
                f"{path}: is not a complete trainval_merged.json, which has images and annos_segmentation ({error!r})"
            ) from error
        self.missing: dict[str, str] = {}  # an image without regions is all background, as for mmseg

    def mask(self, name: str) -> np.ndarray:
        """See :meth:`Release.mask`. Where regions overlap, the later one is on top, as in ``detail``."""
        image = self.images[name]
        try:
            label_map = np.zeros((image["height"], image["width"]), np.int64)
        except (KeyError, TypeError, ValueError, OverflowError, MemoryError) as error:
            raise DataError(f"{self.path}: the size of {name} is not usable ({error!r})") from error
        for region in self.regions[image["image_id"]]:
            code = region["segmentation"]
            try:
                inside = decode_rle(code["counts"], *code["size"])
                label_map[inside] = region["category_id"]
            except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
                raise DataError(f"{self.path}: region {region.get('id')} of {name} is broken ({error})") from error
        return to_classes(label_map, self.table, f"{self.path}, {name}")


def read_labels(path: Path) -> dict[str, int]:
    """Read ``labels.txt``, lines of ``number: name``, into numbers by name without spaces.

    Raises:
        DataError: a file that is not in UTF-8, or a line of another form.
    """
    numbers = {}
    for line in read_text(path).splitlines():
        number, colon, name = line.partition(":")
        if line.strip() and not (colon and number.strip().isdecimal()):
            raise DataError(f"{path}: line {line!r} is not of the form '2: aeroplane'")
        if line.strip():
            numbers[name.replace(" ", "")] = int(number)
    unknown = [name for name in CLASS_IDS if name not in numbers]
    if unknown:
        near = near_names(unknown[0], numbers)
        raise DataError(
            f"{path}: does not name {', '.join(unknown[:5])}"
            + (f" and {len(unknown) - 5} others of the 59 classes" if len(unknown) > 5 else "")
            + (f" (but {' and '.join(near)})" if near else "")
        )
    if max(numbers.values()) != NUM_NAMES:  # 59_labels.txt has the names, too, with other numbers
        raise DataError(
            f"{path}: ends at number {max(numbers.values())}, but the .mat files hold those of labels.txt, which ends "
            f"at {NUM_NAMES}; is it 59_labels.txt?"
        )
    return numbers


def class_table(numbers: Mapping[str, int]) -> np.ndarray:
    """Return the class 1 to 59, or 0 (background), of each number 0 to 459: (460,) uint8."""
    table = np.zeros(NUM_NAMES + 1, np.uint8)
    for index, name in enumerate(CLASS_IDS, start=1):
        table[numbers[name]] = index
    return table


def to_classes(label_map: np.ndarray, table: np.ndarray, source: object) -> np.ndarray:
    """Convert a map of numbers 0 to 459 (H, W) into classes.

    Raises:
        DataError: a number outside that range, or no map.
    """
    if label_map.ndim != 2 or not label_map.size:
        raise DataError(f"{source}: LabelMap has the shape {label_map.shape}, not (height, width); unpack it again")
    if label_map.dtype.kind not in "uif":
        raise DataError(f"{source}: LabelMap has the type {label_map.dtype}, not numbers; unpack it again")
    wrong = np.setdiff1d(label_map, np.arange(len(table)))
    if len(wrong):
        raise DataError(f"{source}: holds {wrong[:5].tolist()}; PASCAL Context has the numbers 0 to {NUM_NAMES}")
    return table[label_map.astype(np.int64)]


def decode_rle(counts: str, height: int, width: int) -> np.ndarray:
    """Decode COCO's compressed run-length code of a mask, column by column, to (height, width) bool.

    It is implemented here because mmpretrain fails to import next to pycocotools; tests compare it with pycocotools.

    Raises:
        ValueError: runs that do not fill the mask.
    """
    runs: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii"):
        chunk = code - 48
        value |= (chunk & 31) << shift  # five bits a character, lowest first
        shift += 5
        if chunk & 32:  # more bits follow
            continue
        if chunk & 16:  # negative
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)  # from the third on: minus the run before the last
        value = shift = 0
    if sum(runs) != height * width:
        raise InputError(f"runs of {sum(runs)} pixels for {height} x {width}")
    flat = np.repeat(np.arange(len(runs)) % 2 == 1, runs)  # runs outside and inside alternate
    return flat.reshape(width, height).T


def _read_list(path: Path) -> list[str]:
    if not path.is_file():
        raise DataError(f"{path}: does not exist; VOCtrainval_03-May-2010.tar has it; unpack it completely")
    return sorted(line.split()[0] for line in read_text(path).splitlines() if line.strip())
