"""Images in one folder per class, with or without folders of splits."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path, PurePath
from typing import Any, ClassVar, Optional

from mmengine.registry import DATASETS

from ..errors import DataError, some
from ..image_names import IMAGE_SUFFIXES, check_utf8
from .recognition import RecognitionDataset
from .split_names import split_of
from .walking import is_hidden, walk

logger = logging.getLogger("davpt_seg")

IMAGES, MASKS = {"image", "images", "imgs"}, {"mask", "masks", "label", "labels", "annotation", "annotations"}
SHARE = 5  # one in five images of each class, where a split has no folder
LEAST = 3  # images of a class, where splits are drawn


@DATASETS.register_module()
class ImageFolderDataset(RecognitionDataset):
    """Images below ``<data_root>/<class>/``, or below ``<data_root>/<split>/<class>/``.

    Classes are the folders' names in alphabetical order. A split without a folder is drawn from the training images, or
    from all images: a fifth of each class, at least one image. The same seed and names give the same images, and one
    more image changes each part by two of the others at most.

    Args:
        data_root: folder of the classes, or of ``train``, ``val`` and ``test``, with ``train`` at least.
        split: ``train``, ``val``, ``trainval`` (both) or ``test``.
        seed: seed of the drawn splits.
        metainfo: further metainfo.
        kwargs: arguments of MMEngine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ...

    Raises:
        DataError: an unknown split, no folder of at least two classes, too few images in a class, or a name that is not
            UTF-8.
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
        folders = split_folders(root)
        items = []
        for label, name in enumerate(self._metainfo["classes"]):
            items += [
                dict(img_path=path, gt_label=label) for path in images_of(root, name, self.split, self.seed, folders)
            ]
        return items


def split_folders(root: Path) -> dict[str, Path]:
    """Return the folders of splits by name, which hold folders of classes; empty if there are none.

    Raises:
        DataError: two folders of one split, or none of training images beside others.
    """
    found: dict[str, Path] = {}
    for path in sorted(root.iterdir()) if root.is_dir() else ():
        split = split_of(PurePath(path.name))
        if not split or not path.is_dir() or next(_classes(path), None) is None:
            continue
        if split in found:
            raise DataError(
                f"ImageFolderDataset: {str(found[split])!r} and {str(path)!r} are two folders of one split; join them, "
                "or move one away"
            )
        found[split] = path
    if found and "train" not in found:
        raise DataError(
            f"ImageFolderDataset: {str(root)!r} has {' and '.join(f'{path.name}/' for path in found.values())}, but no "
            "train/ with the same folders of classes; rename a folder, or give one of them as the data"
        )
    return found


def class_folders(root: Path) -> tuple[str, ...]:
    """Return the names of the classes, sorted.

    Raises:
        DataError: no folder, fewer than two classes, other classes in another split, or folders that are no classes.
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
    for name in classes:
        check_utf8(PurePath(name), str(root))
    _check_classes(folders.get("train", root), classes)
    _report_others(folders.get("train", root), classes)
    return tuple(classes)


def _report_others(folder: Path, classes: list[str]) -> None:
    """Log the folders beside those of classes that hold no image."""
    others = sorted(
        f"{path.name}/"
        for path in folder.iterdir()
        if path.is_dir()
        and path.name not in classes
        and not is_hidden(PurePath(path.name))
        and not split_of(PurePath(path.name))
    )
    if others:
        logger.warning(
            "%s: %s no image (%s), so that %s no class",
            folder, some(others) + (" holds" if len(others) == 1 else " hold"), ", ".join(IMAGE_SUFFIXES),
            "it is" if len(others) == 1 else "they are",
        )  # fmt: skip


def _check_classes(folder: Path, classes: list[str]) -> None:
    """Refuse folders that hold the same folders of images, as splits do, or images and their masks.

    Raises:
        DataError: the folders are no classes.
    """
    inside = {tuple(_subfolders(folder / name)) for name in classes}
    same = next(iter(inside)) if len(inside) == 1 else ()
    if len(same) > 1 or (same and not any(_own_images(folder / name) for name in classes)):
        raise DataError(
            f"ImageFolderDataset: {some([f'{name}/' for name in classes])} in {str(folder)!r} all hold the folders "
            f"{some([f'{name}/' for name in same])}, so they look like splits. Name them train/, val/ and test/, each "
            "with the folders of classes in it"
        )
    kinds = {name.lower() for name in classes}
    if kinds & IMAGES and kinds & MASKS:
        raise DataError(
            f"ImageFolderDataset: {str(folder)!r} has the folders {some(classes)}, as images with masks have. For "
            "segmentation, run 'davpt-seg new-dataset' and name the data by folder:PATH; for classification, "
            f"{ImageFolderDataset.ADVICE}"
        )


def images_of(root: Path, name: str, split: str, seed: int, folders: Mapping[str, Path]) -> list[str]:
    """Return the paths of a class's images in a split.

    Args:
        root: folder of the data.
        name: class.
        split: ``train``, ``val``, ``trainval`` or ``test``.
        seed: seed of the drawn splits.
        folders: folders of splits, see :func:`split_folders`.

    Raises:
        DataError: too few images to draw a split, or a name that is not UTF-8.
    """
    given = {each: _images(folder / name) for each, folder in folders.items()} or {"train": _images(root / name)}
    for path in chain.from_iterable(given.values()):
        check_utf8(PurePath(path), str(root))
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
        # By name, not by place in the list: with one more image, nearly all others stay where they are.
        place = folders.get("train", root) / name
        ranked = sorted(images, key=lambda path: _rank(f"{seed} {name}/{os.path.relpath(path, place)}"))
        chosen = set(ranked[: max(1, len(images) // SHARE)])
        parts[drawn] = [path for path in images if path in chosen]
        parts["train"] = [path for path in images if path not in chosen]
    return parts["train"] + parts["val"] if split == "trainval" else parts[split]


def _rank(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()


def _subfolders(folder: Path) -> list[str]:
    return sorted(_classes(folder))


def _classes(folder: Path) -> Iterator[str]:
    """Yield the names of the folders that have images, without hidden ones and those that programs make."""
    for path in folder.iterdir():
        if path.is_dir() and not is_hidden(PurePath(path.name)) and _has_image(path):
            yield path.name


def _images(folder: Path) -> list[str]:
    return sorted(_walked(folder))


def _has_image(folder: Path) -> bool:
    return next(_walked(folder), None) is not None


def _own_images(folder: Path) -> bool:
    return any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir() if path.is_file())


def _walked(folder: Path) -> Iterator[str]:
    def enter(place: str, name: str) -> bool:
        return not is_hidden(PurePath(name))

    for place, names in walk(folder, enter):
        for name in names:
            if name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith("."):
                yield os.path.join(place, name)
