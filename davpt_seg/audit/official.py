"""Contents of complete copies of the published data sets."""

from __future__ import annotations

import os.path as osp
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..datasets.fgvc import FGVC_SETS, FGVCDataset
from ..datasets.recognition import unknown
from ..datasets.vtab import VTAB_IMAGES, VTAB_SETS, VTABDataset
from ..errors import InputError
from .preflight import recognition_kind, unwrapped

# Images of each split that a data set of mmseg has, by its type.
# ADE20K: 20,210 and 2,000 (SceneParse150, https://github.com/CSAILVision/sceneparsing).
# PASCAL Context: VOC2010's train and val lists hold 4,998 and 5,105 (10,103 together,
# http://host.robots.ox.ac.uk/pascal/VOC/history.html), trainval_merged.json, and with it mmseg's converter, 4,996 and
# 5,104 (https://github.com/zhanghang1989/PyTorch-Encoding/issues/155).
COUNTS: dict[str, dict[str, tuple[int, ...]]] = {
    "ADE20KDataset": {"train": (20210,), "val": (2000,)},
    "PascalContextDataset": {"train": (4996, 4998), "val": (5104, 5105)},
    "PascalContextDataset59": {"train": (4996, 4998), "val": (5104, 5105)},
}


def expected_images(config: Any, split: str) -> tuple[int, ...]:
    """Return the possible numbers of images of a published data set's split; empty where none are known.

    Args:
        config: config of the data set.
        split: ``train``, ``val`` or ``test``; our data sets have a ``split`` in the config instead.
    """
    config = unwrapped(config)
    recognition = recognition_kind(config)
    if recognition:
        return _expected_labelled(recognition, config.get("dataset"), config.get("split"))
    kind = config["type"] if isinstance(config["type"], str) else config["type"].__name__
    return COUNTS.get(kind.rpartition(".")[2], {}).get("val" if split == "test" else split, ())


def _expected_labelled(kind: type, name: str, split: str) -> tuple[int, ...]:
    if issubclass(kind, VTABDataset) and name in VTAB_SETS:
        return ({**VTAB_IMAGES, "test": VTAB_SETS[name].test_images}[split],)
    if issubclass(kind, FGVCDataset) and name in FGVC_SETS:
        published = FGVC_SETS[name]
        counts = {"train": published.train_images, "val": published.val_images, "test": published.test_images}
        return ({**counts, "trainval": counts["train"] + counts["val"]}[split],)
    return ()


def ade20k(root: str) -> dict[str, dict[str, Any]]:
    """Return the data sets of ``ADEChallengeData2016``, by split."""
    return {
        split: dict(
            type="ADE20KDataset",
            data_root=root,
            data_prefix=dict(img_path=f"images/{folder}", seg_map_path=f"annotations/{folder}"),
        )
        for split, folder in (("train", "training"), ("val", "validation"))
    }


def pascal_context(root: str, classes: int = 60) -> dict[str, dict[str, Any]]:
    """Return the data sets of PASCAL Context with 60 or 59 classes, by split, in mmseg's layout of ``VOC2010``."""
    return {
        split: dict(
            type="PascalContextDataset" if classes == 60 else "PascalContextDataset59",
            data_root=root,
            data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
            ann_file=f"ImageSets/SegmentationContext/{split}.txt",
        )
        for split in ("train", "val")
    }


def vtab(root: str, names: Sequence[str] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the data sets of VTAB-1k, by task and split.

    Args:
        root: folder of the tasks' folders.
        names: names of tasks, or of custom folders in that layout; none: all 19.

    Raises:
        ValueError: an unknown name, or a root that is one task's folder.
    """
    if osp.isfile(Path(root) / "train800.txt"):
        raise InputError(f"{root} is the folder of one task: give {Path(root).parent} {Path(root).name}")
    for name in names:
        if name not in VTAB_SETS and not osp.isdir(Path(root) / name):
            raise InputError(f"{unknown(name, VTAB_SETS)}; nor is it a folder in {root}")
    return {
        name: {
            split: dict(type="VTABDataset", data_root=root, dataset=name, split=split) for split in VTABDataset.LISTS
        }
        for name in names or VTAB_SETS
    }


def fgvc(root: str, names: Sequence[str] = ()) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the FGVC data sets, by name and split.

    Args:
        root: folder of the sets' folders, which have their usual names (``FGVC_SETS``).
        names: names of sets; none: all five.

    Raises:
        ValueError: an unknown name, or a root that is one set's folder.
    """
    if osp.isfile(Path(root) / "train.json"):
        raise InputError(f"{root} is the folder of one data set: give {Path(root).parent} and the set's name")
    for name in names:
        if name not in FGVC_SETS:
            raise InputError(unknown(name, FGVC_SETS))
    folders = {name: Path(root) / FGVC_SETS[name].folder for name in names or FGVC_SETS}
    return {
        name: {
            split: dict(type="FGVCDataset", data_root=str(folder), dataset=name, split=split)
            for split in ("train", "val", "test")
        }
        for name, folder in folders.items()
    }
