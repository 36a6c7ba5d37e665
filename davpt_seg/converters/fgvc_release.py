"""Reading of the five FGVC data sets from their unpacked official archives.

A class keeps its number in the release; ``FGVCDataset`` makes them contiguous, as VPT's code does (arXiv 2203.12119).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

from ..errors import DataError
from ..text_files import read_text
from .mat_files import read_mat


@dataclass(frozen=True)
class Release:
    """Labels of a release: class number by path below ``images``, for each split that it has."""

    images: Path
    train: dict[str, int]
    test: dict[str, int]
    val: Optional[dict[str, int]] = None


class Official(NamedTuple):
    """Reader of a data set's release, and its source."""

    read: Callable[[Path], Release]
    source: str


def read_release(dataset: str, root: Path) -> Release:
    """Read the official lists of a data set (a key of ``RELEASES``), and check that every image exists.

    Raises:
        DataError: lists or images that are missing, broken, or contradict each other.
    """
    official = RELEASES[dataset]
    if not root.is_dir():
        raise DataError(f"{root}: is no folder.\n{official.source}")
    try:
        release = official.read(root)
    except FileNotFoundError as error:
        raise DataError(f"{error}.\n{official.source}") from error
    splits: dict[str, Mapping[str, int]] = {"train": release.train, "val": release.val or {}, "test": release.test}
    owner: dict[str, str] = {}
    for split, images in splits.items():
        twice = [path for path in images if path in owner]
        if twice:
            raise DataError(f"{root}: {twice[0]} is listed in {owner[twice[0]]} and in {split}")
        owner.update(dict.fromkeys(images, split))
    lost = [path for path in owner if not (release.images / path).is_file()]
    if lost:
        raise DataError(
            f"{len(lost):,} of {len(owner):,} listed images are missing, for instance {release.images / lost[0]}; "
            f"unpack the archive again.\n{official.source}"
        )
    return release


def read_birds(root: Path) -> Release:
    """Read CUB-200-2011 or NABirds: three tables of ``id value``, with a number or dashes as id."""
    paths, labels, is_train = (
        _read_table(root / f"{name}.txt") for name in ("images", "image_class_labels", "train_test_split")
    )
    _refuse_twice(paths.values(), root / "images.txt")
    for name, table in (("image_class_labels.txt", labels), ("train_test_split.txt", is_train)):
        if table.keys() != paths.keys():
            odd = sorted(table.keys() ^ paths.keys())[0]
            raise DataError(f"{root / name}: does not list the images of images.txt; {odd} is in only one of them")
    wrong = {key: flag for key, flag in is_train.items() if flag not in ("0", "1")}
    if wrong:
        raise DataError(f"{root}/train_test_split.txt: {wrong} is neither 0 (test) nor 1 (training)")
    splits: dict[str, dict[str, int]] = {"0": {}, "1": {}}
    for key, path in paths.items():
        splits[is_train[key]][path] = _number(labels[key], root / "image_class_labels.txt")
    return Release(root / "images", train=splits["1"], test=splits["0"])


def read_flowers(root: Path) -> Release:
    """Read Oxford Flowers 102, whose training and validation splits (10 images a class each) are official."""
    labels_file = root / "imagelabels.mat"
    labels = _read_mat(labels_file, "labels")
    splits = []
    for key in ("trnid", "valid", "tstid"):
        ids = _read_mat(root / "setid.mat", key)
        if ids.dtype.kind not in "ui" or ids.ndim != 1 or ids.min() < 1 or ids.max() > len(labels):
            raise DataError(f"{root}/setid.mat: {key} names images outside the {len(labels):,} of imagelabels.mat")
        splits.append({f"jpg/image_{i:05d}.jpg": _number(labels[i - 1], labels_file) for i in ids.tolist()})
    train, val, test = splits
    return Release(root, train=train, val=val, test=test)


def read_dogs(root: Path) -> Release:
    """Read Stanford Dogs: two lists of paths below ``Images`` (some copies have ``images``)."""
    splits = {}
    for split in ("train", "test"):
        path = _first(root / f"{split}_list.mat", root / "lists" / f"{split}_list.mat")
        splits[split] = _pair(_read_mat(path, "file_list"), _read_mat(path, "labels"), path)
    return Release(_first(root / "Images", root / "images"), **splits)


def read_cars(root: Path) -> Release:
    """Read Stanford Cars: ``car_ims`` with ``cars_annos.mat``, or ``cars_train`` and ``cars_test`` with the devkit."""
    if (root / "car_ims").is_dir():
        path = _first(root / "cars_annos.mat", root / "devkit" / "cars_annos.mat")
        cars = _read_mat(path, "annotations", ("relative_im_path", "class", "test"))
        images = _pair(cars["relative_im_path"], cars["class"], path)
        in_test = dict(zip(images, (bool(_number(flag, path)) for flag in cars["test"])))
        return Release(
            root,
            train={image: label for image, label in images.items() if not in_test[image]},
            test={image: label for image, label in images.items() if in_test[image]},
        )
    splits = {}
    for split, name in (("train", "cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        folder = _first(root / f"cars_{split}" / f"cars_{split}", root / f"cars_{split}")  # Kaggle's copy is nested
        path = _first(root / "devkit" / name, root / name)
        cars = _read_mat(path, "annotations", ("fname", "class"))
        names = [f"{folder.relative_to(root).as_posix()}/{name}" for name in cars["fname"]]
        splits[split] = _pair(names, cars["class"], path)
    return Release(root, **splits)


def _first(*places: Path) -> Path:
    found = next((path for path in places if path.exists()), None)
    if found is None:
        raise FileNotFoundError(f"{places[0]}: does not exist" + "".join(f", nor {path}" for path in places[1:]))
    return found


def _read_table(path: Path) -> dict[str, str]:
    table = {}
    for line in read_text(_first(path)).splitlines():
        key, _, value = line.strip().partition(" ")
        if key in table:
            raise DataError(f"{path}: lists {key!r} twice; take one of the lines out, or unpack it again")
        if not value and key:
            raise DataError(f"{path}: line {line!r} is not of the form 'image-id value'")
        if key:
            table[key] = value.strip()
    return table


def _read_mat(path: Path, key: str, fields: Iterable[str] = ()) -> np.ndarray:
    values = np.atleast_1d(read_mat(_first(path), key, squeeze=True, cells=True))
    lacking = [field for field in fields if field not in (values.dtype.names or ())]
    if lacking or not values.size:
        fault = f"has no field {lacking[0]!r}" if lacking else "is empty"
        raise DataError(f"{path}: {key} {fault}; is it the official file? Unpack it again")
    return values


def _pair(paths: Iterable[str], labels: Iterable[Any], source: Path) -> dict[str, int]:
    paths, labels = list(paths), list(labels)
    if len(paths) != len(labels):
        raise DataError(f"{source}: has {len(paths):,} images, but {len(labels):,} labels")
    wrong = next((path for path in paths if not isinstance(path, str) or not path or "\0" in path), None)
    if wrong is not None:
        raise DataError(f"{source}: {wrong!r:.80} is no file name; is it the official file? Unpack it again")
    _refuse_twice(paths, source)
    return {path: _number(label, source) for path, label in zip(paths, labels)}


def _refuse_twice(paths: Iterable[str], source: Path) -> None:
    twice = [path for path, count in Counter(paths).items() if count > 1]
    if twice:
        raise DataError(f"{source}: lists {twice[0]!r} twice; take one of the entries out, or unpack it again")


def _number(label: Any, source: Path) -> int:
    try:
        return int(label)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{source}: {label!r:.80} is no class number; unpack it again") from error


RELEASES = {
    "cub": Official(
        read_birds,
        source="CUB-200-2011 (1.2 GB): https://data.caltech.edu/records/65de6-vp158 , CUB_200_2011.tgz; "
        "give the folder CUB_200_2011 that it unpacks to",
    ),
    "nabirds": Official(
        read_birds,
        source="NABirds (about 9 GB): https://dl.allaboutbirds.org/nabirds , nabirds.tar.gz, after agreeing to its "
        "terms; give the folder nabirds that it unpacks to",
    ),
    "flowers": Official(
        read_flowers,
        source="Oxford Flowers 102 (0.3 GB): https://www.robots.ox.ac.uk/~vgg/data/flowers/102/ , 102flowers.tgz "
        "(unpacks to jpg/), imagelabels.mat and setid.mat, all three in one folder",
    ),
    "dogs": Official(
        read_dogs,
        source="Stanford Dogs (0.8 GB): http://vision.stanford.edu/aditya86/ImageNetDogs/ , images.tar (unpacks to "
        "Images/) and lists.tar (train_list.mat, test_list.mat), both in one folder",
    ),
    "cars": Official(
        read_cars,
        source="Stanford Cars (1.9 GB): its page, https://ai.stanford.edu/~jkrause/cars/car_dataset.html , no longer "
        "answers; for copies see https://github.com/pytorch/vision/issues/7545 . You need car_ims/ with "
        "cars_annos.mat, or cars_train/ and cars_test/ with devkit/cars_train_annos.mat and "
        "cars_test_annos_withlabels.mat (the devkit's own cars_test_annos.mat has no labels), in one folder",
    ),
}
