"""Five fine-grained data sets (FGVC) with VPT's splits, in the folder layouts of their releases."""

from __future__ import annotations

import json
import os.path as osp
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional

from mmengine.registry import DATASETS

from ..errors import DataError
from ..text_files import read_json, read_text
from .recognition import RecognitionDataset, listed_path, numbered, unknown


@dataclass(frozen=True)
class FGVCSet:
    """Data set with its number of classes, its usual folder, and the number of images of each of VPT's splits."""

    num_classes: int
    folder: str
    train_images: int
    val_images: int
    test_images: int


# Sizes: VPT (arXiv 2203.12119), appendix. For a release without validation split, VPT held out a tenth of the training
# images; train and val together, and test, are those of the release.
FGVC_SETS = {
    "cub": FGVCSet(200, "CUB_200_2011", 5394, 600, 5794),
    "nabirds": FGVCSet(555, "nabirds", 21536, 2393, 24633),
    "flowers": FGVCSet(102, "OxfordFlower", 1020, 1020, 6149),
    "dogs": FGVCSet(120, "Stanford-dogs", 10800, 1200, 8580),
    "cars": FGVCSet(196, "Stanford-cars", 7329, 815, 8041),
}
IMAGE_FOLDERS = ("images", "Images", "")  # below data_root; the first with a listed image is used


@DATASETS.register_module()
class FGVCDataset(RecognitionDataset):
    """Fine-grained data set with ``train.json``, ``val.json`` and ``test.json``, each a dict of path to class id.

    Paths are relative to ``images``, ``Images`` or ``data_root``, wherever they are found. Class ids may be any
    numbers: sorted over all existing lists, they become the labels 0 to C - 1, the same in each split.

    Args:
        data_root: folder of one data set, for instance ``data/fgvc/CUB_200_2011``.
        dataset: one of ``FGVC_SETS``; or a custom set in that layout, with ``num_classes``.
        split: ``train``, ``val``, ``trainval`` (both) or ``test``.
        num_classes: number of classes C of a custom set.
        metainfo: metainfo whose ``classes`` replace the names of ``classes.txt`` (lines ``id name``; CUB and NABirds
            have one).
        kwargs: arguments of MMEngine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ...

    Raises:
        DataError: an unknown set or split, a missing or bad list, or lists with another number of classes than the
            set; when items are read, no image is found.
    """

    LISTS: ClassVar = {
        "train": ("train.json",),
        "val": ("val.json",),
        "trainval": ("train.json", "val.json"),
        "test": ("test.json",),
    }
    ADVICE = (
        "check data_root, which our configs take from FGVC_ROOT (the folder with train.json, val.json and test.json, "
        "each a dict of relative path to class id, and the images below it), or make the lists: "
        "tools/dataset_converters/fgvc.py (docs/fgvc.md)"
    )

    def __init__(
        self,
        data_root: str = "data/fgvc/CUB_200_2011",
        dataset: str = "cub",
        split: str = "train",
        num_classes: Optional[int] = None,
        metainfo: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        if dataset not in FGVC_SETS and num_classes is None:
            raise DataError(f"FGVCDataset dataset: {unknown(dataset, FGVC_SETS)}. A custom set needs num_classes")
        expected = FGVC_SETS[dataset].num_classes if dataset in FGVC_SETS else num_classes
        if num_classes not in (None, expected):
            raise DataError(f"FGVCDataset {dataset} has {expected} classes, got num_classes={num_classes}; omit it")
        self.class_ids = class_ids(Path(data_root))
        if self.class_ids and len(self.class_ids) != expected:
            raise DataError(
                f"FGVCDataset {dataset} has {expected} classes, but the lists in {data_root} name "
                f"{len(self.class_ids)}; check data_root, or make the lists again: tools/dataset_converters/fgvc.py"
            )
        names = self._load_metainfo(metainfo).get("classes") or class_names(Path(data_root), self.class_ids)
        super().__init__(data_root, dataset, split, names, metainfo, **kwargs)

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the lists and find the images.

        Raises:
            DataError: a bad list, a path outside ``data_root``, or images that are in none of the folders.
        """
        paths = self.list_paths(self.data_root, self.name, self.split)
        listed = [(path, *item) for path in paths for item in read_split(path).items()]
        label_of = {class_id: label for label, class_id in enumerate(self.class_ids)}
        root = Path(self.data_root)
        folder = image_folder(root, [image for _, image, _ in listed])
        return [
            dict(img_path=str(listed_path(folder, image, str(path))), gt_label=label_of[class_id])
            for path, image, class_id in listed
        ]


def read_split(path: Path) -> dict[str, int]:
    """Read a list: class ids by relative path.

    Raises:
        DataError: no JSON in UTF-8, an image that is listed twice, or other content.
    """
    try:
        listed = read_json(path)
    except DataError as error:
        raise DataError(f"{error}; correct it, or make it again: tools/dataset_converters/fgvc.py") from error
    if not isinstance(listed, dict):
        raise DataError(f"{path}: expected one dict of relative path to class id, got a {type(listed).__name__}")
    for image, class_id in listed.items():
        if not re.fullmatch(r"-?\d{1,9}", json.dumps(class_id).strip('"')):
            raise DataError(f"{path}: expected an integer as the class id of {image!r}, got {repr(class_id)[:100]}")
    return {image: int(class_id) for image, class_id in listed.items()}


def class_ids(root: Path) -> tuple[int, ...]:
    """Return the sorted class ids of all existing lists; the label of an id is its index."""
    paths = [root / file for files in FGVCDataset.LISTS.values() for file in files]
    return tuple(sorted({class_id for path in set(paths) if path.is_file() for class_id in read_split(path).values()}))


def class_names(root: Path, ids: Sequence[int]) -> tuple[str, ...]:
    """Return the names that ``classes.txt`` has for class ids; numbers if one is missing.

    Raises:
        DataError: a file that is not in UTF-8, or a line that is not ``id name``.
    """
    path, names = root / "classes.txt", {}
    lines = read_text(path).splitlines() if path.is_file() else []
    for number, line in enumerate(lines, start=1):
        class_id, *name = line.split(maxsplit=1) or ("",)
        if name and class_id.isdecimal():
            names[int(class_id)] = name[0].strip()
        elif class_id:
            raise DataError(f"{path}, line {number}: expected 'id name' as in the release, got {line.strip()!r}")
    return tuple(names[i] for i in ids) if set(ids) <= set(names) else numbered(len(ids))


def image_folder(root: Path, images: Iterable[str]) -> Path:
    """Return the folder below which listed images are.

    Raises:
        DataError: none of them is in any of ``IMAGE_FOLDERS``.
    """
    images = list(images)
    for image in images:  # usually the first exists; if it is missing, the others still show the folder
        for folder in IMAGE_FOLDERS:
            if osp.isfile(root / folder / image):  # Path.is_file raises on a name that is too long
                return root / folder
    tried = ", ".join(repr(str(root / folder / image)) for image in images[:1] for folder in IMAGE_FOLDERS)
    raise DataError(
        f"{root}: none of the {len(images)} listed images exists, for instance {tried}. Unpack the release's images "
        "there (docs/fgvc.md), or check data_root"
    )
