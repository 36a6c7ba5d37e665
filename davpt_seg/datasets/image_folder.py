"""Images in one folder per class, with or without folders of splits."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Optional

import numpy as np
from mmengine.registry import DATASETS

from ..errors import DataError
from .recognition import RecognitionDataset

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = dict(train=("train", "training"), val=("val", "valid", "validation"), test=("test", "testing"))
SHARE = 5  # one in five images of each class, where a split has no folder
LEAST = 3  # images of a class, where splits are drawn


@DATASETS.register_module()
class ImageFolderDataset(RecognitionDataset):
    """Images below ``<data_root>/<class>/``, or below ``<data_root>/<split>/<class>/``.

    Classes are the folders' names in alphabetical order. A split without a folder is drawn from the training images, or
    from all images: a fifth of each class, at least one image. The same seed and names give the same images.

    Args:
        data_root: folder of the classes, or of ``train``, ``val`` and ``test``, with ``train`` at least.
        split: ``train``, ``val``, ``trainval`` (both) or ``test``.
        seed: seed of the drawn splits.
        metainfo: further metainfo.
        kwargs: arguments of MMEngine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ...

    Raises:
        DataError: an unknown split, no folder of at least two classes, or too few images in a class.
    """

    LISTS: ClassVar = dict(train=(), val=(), trainval=(), test=())
    ADVICE = "it needs one folder for each class, with its images, in this folder or in train/, val/ and test/ of it"

    def __init__(
        self,
        data_root: str,
        split: str = "train",
        seed: int = 0,
        metainfo: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        self.seed = seed
        super().__init__(data_root, Path(data_root).name, split, class_folders(Path(data_root)), metainfo, **kwargs)

    @classmethod
    def list_paths(cls, data_root: str, name: str, split: str) -> list[Path]:
        """Return the list files of a split: none.

        Raises:
            DataError: an unknown split.
        """
        super().list_paths(data_root, name, split)
        return []

    def load_data_list(self) -> list[dict[str, Any]]:
        """List the images of the split.

        Raises:
            DataError: a class without images, or with too few to draw splits.
        """
        root = Path(self.data_root)
        items = []
        for label, name in enumerate(self._metainfo["classes"]):
            items += [dict(img_path=path, gt_label=label) for path in images_of(root, name, self.split, self.seed)]
        return items


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of splits by name; empty where there is no folder of training images."""
    there = {path.name.lower(): path for path in root.iterdir() if path.is_dir()} if root.is_dir() else {}
    found = {split: there[name] for split, names in SPLITS.items() for name in names if name in there}
    return found if "train" in found else {}


def class_folders(root: Path) -> tuple[str, ...]:
    """Return the names of the classes, sorted.

    Raises:
        DataError: no folder, fewer than two classes, or other classes in another split.
    """
    if not root.is_dir():
        raise DataError(f"ImageFolderDataset: folder {str(root)!r} does not exist; {ImageFolderDataset.ADVICE}")
    folders = split_folders(root)
    by_split = {split: _subfolders(folder) for split, folder in folders.items()} or {"": _subfolders(root)}
    classes = by_split.get("train", by_split.get("", []))
    if len(classes) < 2:
        where = folders.get("train", root)
        raise DataError(
            f"ImageFolderDataset: {str(where)!r} has {len(classes)} folders with images; {ImageFolderDataset.ADVICE}"
        )
    for split, names in by_split.items():
        other = sorted(set(names) - set(classes))
        if other:
            raise DataError(
                f"ImageFolderDataset: {str(folders[split] / other[0])!r} is no class of {str(folders['train'])!r}; "
                "rename the folder, or move it away"
            )
    return tuple(classes)


def images_of(root: Path, name: str, split: str, seed: int) -> list[str]:
    """Return the paths of a class's images in a split.

    Raises:
        DataError: too few images to draw a split.
    """
    folders = split_folders(root)
    given = {each: _images(folder / name) for each, folder in folders.items()} or {"train": _images(root / name)}
    parts = dict(given)
    for drawn in ("test", "val"):
        if drawn in given:
            continue
        images = parts["train"]
        if len(images) < LEAST - 1:
            raise DataError(
                f"ImageFolderDataset: class {name!r} has {len(given['train'])} images below {str(root)!r}; at least "
                f"{LEAST} are needed, one to train, to validate and to test"
            )
        rng = np.random.default_rng([seed, *name.encode()])
        chosen = set(rng.choice(len(images), max(1, len(images) // SHARE), replace=False).tolist())
        parts[drawn] = [path for at, path in enumerate(images) if at in chosen]
        parts["train"] = [path for at, path in enumerate(images) if at not in chosen]
    return parts["train"] + parts["val"] if split == "trainval" else parts[split]


def _subfolders(folder: Path) -> list[str]:
    hidden = re.compile(r"[._@$#]")
    return sorted(
        path.name for path in folder.iterdir() if path.is_dir() and not hidden.match(path.name) and _images(path)
    )


def _images(folder: Path) -> list[str]:
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith((".", "@", "__")))
        found += [os.path.join(place, name) for name in names if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return sorted(found)
