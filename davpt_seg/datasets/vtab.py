"""VTAB-1k in the community layout: one folder per task, with lists of images and labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Optional

from mmengine.registry import DATASETS

from ..errors import DataError
from ..text_files import read_text
from .recognition import RecognitionDataset, listed_path, numbered, unknown
from .roots import about_root


@dataclass(frozen=True)
class VTABSet:
    """Task with its number of classes, its group, and the number of images of its test split."""

    num_classes: int
    group: str
    test_images: int


# Groups and sizes: VTAB (arXiv 1910.04867) and VPT (arXiv 2203.12119), appendices. Each task trains on 800
# images and validates on 200 of its training split.
VTAB_SETS = {
    "caltech101": VTABSet(102, "Natural", 6084),
    "cifar": VTABSet(100, "Natural", 10000),
    "dtd": VTABSet(47, "Natural", 1880),
    "oxford_flowers102": VTABSet(102, "Natural", 6149),
    "oxford_iiit_pet": VTABSet(37, "Natural", 3669),
    "svhn": VTABSet(10, "Natural", 26032),
    "sun397": VTABSet(397, "Natural", 21750),
    "patch_camelyon": VTABSet(2, "Specialized", 32768),
    "eurosat": VTABSet(10, "Specialized", 5400),
    "resisc45": VTABSet(45, "Specialized", 6300),
    "diabetic_retinopathy": VTABSet(5, "Specialized", 42670),
    "clevr_count": VTABSet(8, "Structured", 15000),
    "clevr_dist": VTABSet(6, "Structured", 15000),
    "dmlab": VTABSet(6, "Structured", 22735),
    "kitti": VTABSet(4, "Structured", 711),
    "dsprites_loc": VTABSet(16, "Structured", 73728),
    "dsprites_ori": VTABSet(16, "Structured", 73728),
    "smallnorb_azi": VTABSet(18, "Structured", 12150),
    "smallnorb_ele": VTABSet(9, "Structured", 12150),
}
CONVERTERS = {"cifar10_1k": "cifar10_1k.py"}  # of sets in this layout that VTAB-1k does not have
VTAB_IMAGES = {"train800": 800, "val200": 200, "train800val200": 1000}


@DATASETS.register_module()
class VTABDataset(RecognitionDataset):
    """Task of VTAB-1k: ``<data_root>/<dataset>/<split>.txt`` with lines ``relative/path label``.

    Args:
        data_root: folder of the tasks' folders.
        dataset: one of ``VTAB_SETS``; or a custom folder in that layout, with a ``classes.txt`` (one name per line),
            ``num_classes`` or ``metainfo=dict(classes=(...))``.
        split: ``train800``, ``val200``, ``train800val200`` or ``test``.
        num_classes: number of classes C of a custom set.
        metainfo: metainfo whose ``classes`` replace the names of ``classes.txt``.
        kwargs: arguments of MMEngine's ``BaseDataset``: ``pipeline``, ``test_mode``, ``indices``, ...

    Raises:
        DataError: an unknown set or split, a missing list, a ``classes.txt`` that is not in UTF-8, a wrong number of
            class names; a bad line, when it is read.
    """

    LISTS: ClassVar = {split: (f"{split}.txt",) for split in ("train800", "val200", "train800val200", "test")}
    ADVICE = (
        "check data_root, which our configs take from VTAB_ROOT (its folders are those of the tasks, each with "
        "train800.txt, val200.txt, train800val200.txt and test.txt of lines 'relative/path label'), or make it: "
        "tools/dataset_converters/vtab1k.py (docs/vtab.md)"
    )

    def __init__(
        self,
        data_root: str = "data/vtab-1k",
        dataset: str = "",
        split: str = "train800",
        num_classes: Optional[int] = None,
        metainfo: Optional[Mapping[str, Any]] = None,
        **kwargs: Any,
    ) -> None:
        names = self._load_metainfo(metainfo).get("classes")
        classes = class_names(self.folder(data_root, dataset), dataset, num_classes, names)
        super().__init__(data_root, dataset, split, classes, metainfo, **kwargs)

    @staticmethod
    def folder(data_root: str, name: str) -> Path:
        """Return the folder of a task."""
        return Path(data_root) / name

    def load_data_list(self) -> list[dict[str, Any]]:
        """Read the list.

        Raises:
            DataError: a line is not ``path label``, a path is outside the folder, or a label is no class.
        """
        (path,) = self.list_paths(self.data_root, self.name, self.split)
        num_classes = len(self._metainfo["classes"])
        items = []
        for number, line in enumerate(read_text(path).splitlines(), start=1):
            *image, label = line.rsplit(maxsplit=1) or ("",)
            if image and label.isdecimal() and len(label) < 10 and int(label) < num_classes:
                image_path = listed_path(path.parent, image[0].strip(), f"{path}, line {number}")
                items.append(dict(img_path=str(image_path), gt_label=int(label)))
            elif label:
                raise DataError(
                    f"{path}, line {number}: expected 'relative/path label' with a label from 0 to {num_classes - 1} "
                    f"({self.name} has {num_classes} classes), got {line.strip()[:200]!r}; "
                    "fix the list, or make it again: tools/dataset_converters/vtab1k.py"
                )
        return items


def class_names(
    folder: Path, name: str, num_classes: Optional[int] = None, names: Optional[tuple[str, ...]] = None
) -> tuple[str, ...]:
    """Return the names of a task's classes: those given, those of its ``classes.txt``, or numbers.

    Args:
        folder: folder of the task.
        name: name of the task.
        num_classes: number of classes C of a set that is not in ``VTAB_SETS``.
        names: given names, which take precedence over those of ``classes.txt``.

    Raises:
        DataError: the number of classes is unknown or contradictory, or ``classes.txt`` is empty or not in UTF-8.
    """
    published = VTAB_SETS[name].num_classes if name in VTAB_SETS else None
    if published and num_classes not in (None, published):
        raise DataError(f"VTABDataset {name} has {published} classes, got num_classes={num_classes}; omit it")
    expected, listed = published or num_classes, folder / "classes.txt"
    if names is None and listed.is_file():
        names = tuple(line.strip() for line in read_text(listed).splitlines() if line.strip())
        if not names:
            raise DataError(f"{listed} is empty; write the name of one class per line into it, or delete it")
    if names is None:
        if expected is None:
            if not folder.is_dir() and (about := about_root(str(folder))):
                raise DataError(
                    f"VTABDataset {name}: folder {str(folder)!r} does not exist; {about}. Or make it: "
                    f"tools/dataset_converters/{CONVERTERS.get(name, 'vtab1k.py')}"
                )
            raise DataError(
                f"VTABDataset dataset: {unknown(name, VTAB_SETS)}. A custom set needs {str(listed)!r} with one name "
                "per line, or num_classes"
            )
        return numbered(expected)
    if expected not in (None, len(names)):
        raise DataError(f"VTABDataset {name} has {expected} classes, but {len(names)} names (metainfo or {listed})")
    return tuple(names)
