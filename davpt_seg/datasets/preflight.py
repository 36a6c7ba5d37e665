"""Finds missing folders and masks before training does."""

from __future__ import annotations

import os.path as osp
from typing import Any

from mmengine.config import ConfigDict


class DataError(ValueError):
    """A data set that is not as its config says."""


def check_dataset(config: ConfigDict) -> int:
    """Check that a mmseg data set has its folders, images and masks.

    Args:
        config: of the data set. Kinds other than mmseg's ``BaseSegDataset`` are left alone.

    Returns:
        How many images it has.

    Raises:
        DataError: a missing folder or list, no image, or images without mask.
    """
    from mmseg.datasets import BaseSegDataset
    from mmseg.registry import DATASETS

    kind = DATASETS.get(config["type"]) if isinstance(config["type"], str) else config["type"]
    if kind is None or not issubclass(kind, BaseSegDataset):
        return 0
    arguments: dict[str, Any] = {key: value for key, value in config.items() if key not in ("type", "pipeline")}
    advice = (
        "check data_root (README, from download to mIoU), or set it: "
        "--cfg-options {train,val,test}_dataloader.dataset.data_root=PATH"
    )
    try:
        dataset = kind(**{**arguments, "lazy_init": True})
    except AssertionError as error:  # some of mmseg's data sets check their paths themselves, in silence
        paths = {key: arguments.get(key) for key in ("data_root", "data_prefix", "ann_file")}
        raise DataError(f"data set {kind.__name__}: a path of {paths} does not exist; {advice}") from error
    where = f"data set {kind.__name__} with data_root {dataset.data_root!r}"
    for what, folder in dataset.data_prefix.items():
        if folder and not osp.isdir(folder):
            raise DataError(f"{where}: {what} folder {folder!r} does not exist; {advice}")
    if dataset.ann_file and not osp.exists(dataset.ann_file):
        raise DataError(f"{where}: ann_file {dataset.ann_file!r} does not exist; {advice}")
    items = dataset.load_data_list()
    if not items:
        raise DataError(f"{where}: no *{dataset.img_suffix} in {dataset.data_prefix.get('img_path')!r}; {advice}")
    for key, name in (("img_path", "images"), ("seg_map_path", "masks")):
        missing = [item[key] for item in items if key in item and not osp.isfile(item[key])]
        if missing:
            raise DataError(
                f"{where}: {len(missing)} of {len(items)} {name} are missing, for instance {', '.join(missing[:3])}; "
                "restore them or take those images out"
            )
    return len(items)
