"""Finds missing folders, masks and empty files before training does."""

from __future__ import annotations

import os
import os.path as osp
from typing import Any, Optional

from mmengine.config import ConfigDict

from .errors import DataError

ADVICE = (
    "check data_root (README, from download to mIoU), or set it: "
    "--cfg-options {train,val,test}_dataloader.dataset.data_root=PATH"
)


def open_dataset(config: ConfigDict) -> Optional[Any]:
    """Open a mmseg data set without reading its list, and check its folders.

    Args:
        config: of the data set, or of a wrapper around one.

    Returns:
        A lazy ``BaseSegDataset``; None for other kinds.

    Raises:
        DataError: a missing folder or list.
    """
    from mmseg.datasets import BaseSegDataset
    from mmseg.registry import DATASETS

    while isinstance(config.get("dataset"), dict):  # RandomSubset, RepeatDataset and their like
        config = config["dataset"]
    kind = DATASETS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    if kind is None or not issubclass(kind, BaseSegDataset):
        return None
    arguments: dict[str, Any] = {key: value for key, value in config.items() if key not in ("type", "pipeline")}
    try:
        dataset = kind(**{**arguments, "lazy_init": True})
    except AssertionError as error:  # some of mmseg's data sets check their paths themselves, in silence
        paths = {key: arguments.get(key) for key in ("data_root", "data_prefix", "ann_file")}
        raise DataError(f"data set {kind.__name__}: a path of {paths} does not exist; {ADVICE}") from error
    for what, folder in dataset.data_prefix.items():
        if folder and not osp.isdir(folder):
            raise DataError(f"{whereabouts(dataset)}: {what} folder {folder!r} does not exist; {ADVICE}")
    if dataset.ann_file and not osp.exists(dataset.ann_file):
        raise DataError(f"{whereabouts(dataset)}: ann_file {dataset.ann_file!r} does not exist; {ADVICE}")
    return dataset


def whereabouts(dataset: Any) -> str:
    """Name a data set and its folder, for messages."""
    return f"data set {type(dataset).__name__} with data_root {dataset.data_root!r}"


def check_dataset(config: ConfigDict) -> int:
    """Check that a mmseg data set has its folders, images and masks.

    No file is opened: ``tools/check_dataset.py`` reads them all.

    Args:
        config: of the data set, or of a wrapper around one. Kinds other than mmseg's ``BaseSegDataset`` are left
            alone.

    Returns:
        How many images it has.

    Raises:
        DataError: a missing folder or list, no image, images without mask, or empty files.
    """
    dataset = open_dataset(config)
    if dataset is None:
        return 0
    where = whereabouts(dataset)
    items = dataset.load_data_list()
    if not items:
        raise DataError(f"{where}: no *{dataset.img_suffix} in {dataset.data_prefix.get('img_path')!r}; {ADVICE}")
    for key, name in (("img_path", "images"), ("seg_map_path", "masks")):
        sizes = {item[key]: _size(item[key]) for item in items if key in item}
        for bad, what in ((None, "missing"), (0, "empty files")):
            paths = [path for path, size in sizes.items() if size == bad]
            if paths:
                raise DataError(
                    f"{where}: {len(paths)} of {len(items)} {name} are {what}, for instance {', '.join(paths[:3])}; "
                    "restore them or take those images out (tools/check_dataset.py CONFIG looks into every file)"
                )
    return len(items)


def _size(path: str) -> Optional[int]:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return None
