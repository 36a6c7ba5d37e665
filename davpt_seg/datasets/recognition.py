"""Base of the data sets of VTAB-1k and FGVC: images with one label each, from lists."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Optional

from mmengine.dataset import BaseDataset

from ..errors import DataError, nearest
from .roots import about_root


class RecognitionDataset(BaseDataset):
    """Images with one label each; an item is ``dict(img_path=str, gt_label=int)``.

    Args:
        data_root: folder that the lists and images are in.
        name: name of the set.
        split: key of ``LISTS``.
        classes: names of the C classes; labels are 0 to C - 1.
        metainfo: further metainfo.
        kwargs: arguments of MMEngine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ...

    Raises:
        DataError: an unknown split or a missing list; a bad list, when it is read.
    """

    LISTS: ClassVar[Mapping[str, tuple[str, ...]]]  # names of the list files of each split
    ADVICE: ClassVar[str]  # next step for a user without the lists

    def __init__(
        self,
        data_root: str,
        name: str,
        split: str,
        classes: Sequence[str],
        metainfo: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        self.name, self.split = name, split
        for path in self.list_paths(data_root, name, split):
            if not path.is_file():
                raise DataError(self._no_list(path))
        super().__init__(data_root=data_root, metainfo={**(metainfo or {}), "classes": tuple(classes)}, **kwargs)

    @classmethod
    def list_paths(cls, data_root: str, name: str, split: str) -> list[Path]:
        """Return the list files of a split.

        Raises:
            DataError: an unknown split.
        """
        if split not in cls.LISTS:
            raise DataError(f"{cls.__name__} split: {unknown(split, cls.LISTS)}")
        return [cls.folder(data_root, name) / file for file in cls.LISTS[split]]

    @staticmethod
    def folder(data_root: str, name: str) -> Path:
        """Return the folder of a set's lists."""
        return Path(data_root)

    def get_cat_ids(self, idx: int) -> list[int]:
        """Return the class of an image, in the form for MMEngine's ``ClassBalancedDataset``."""
        return [self.get_data_info(idx)["gt_label"]]

    def _no_list(self, path: Path) -> str:
        if not path.parent.is_dir():
            about = about_root(str(path.parent))
            advice = f"{about}. Or {self.ADVICE}" if about else self.ADVICE
            return f"{type(self).__name__} {self.name}: folder {str(path.parent)!r} does not exist; {advice}"
        known = {file for files in self.LISTS.values() for file in files}
        there = sorted(file for file in known if (path.parent / file).is_file())
        return (
            f"{type(self).__name__} {self.name}: list {str(path)!r} does not exist; "
            f"that folder has {', '.join(there) or 'none of its lists'}. {self.ADVICE[0].upper()}{self.ADVICE[1:]}"
        )


def listed_path(folder: Path, image: str, place: str) -> Path:
    """Return the path of a listed image, which must be below the folder; the user's links there are followed.

    Args:
        folder: base folder of listed paths.
        image: path in a list.
        place: file, and line if it has lines, for the message.

    Raises:
        DataError: a path that is absolute or contains ``..``.
    """
    parts = re.split(r"[/\\]", image)
    if not image or "\0" in image or ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", image):
        raise DataError(
            f"{place}: {image!r} must be a path below {str(folder)!r}, without '..' and not absolute; correct the "
            "list, or move the image there"
        )
    return folder / image


def unknown(name: str, known: Collection[str]) -> str:
    """Describe an unknown name, with similar names."""
    return f"{name!r} is not known; {nearest(name, known)}"


def numbered(num_classes: int) -> tuple[str, ...]:
    """Return names for classes that have none."""
    return tuple(f"class {i}" for i in range(num_classes))
