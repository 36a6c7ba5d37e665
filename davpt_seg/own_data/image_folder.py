"""The data part of ``data=imagefolder:PATH``: images in one folder per class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..datasets.image_folder import class_folders

SIDE = 224


def image_folder_part(folder: Path) -> dict[str, Any]:
    """Return the content of the data part of a folder.

    Images are resized to a square, without augmentation, as VTAB-1k's are.

    Raises:
        DataError: the folder has no folders of classes.
    """
    classes = class_folders(folder)
    pipeline = [
        dict(type="LoadImageFromFile"),
        dict(type="Resize", scale=(SIDE, SIDE), keep_ratio=False, backend="pillow"),
        dict(type="PackInputs"),
    ]

    def loader(split: str, batch_size: int, shuffle: bool) -> dict[str, Any]:
        return dict(
            batch_size=batch_size,
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type="DefaultSampler", shuffle=shuffle),
            dataset=dict(type="ImageFolderDataset", data_root=str(folder), split=split, pipeline=pipeline),
        )

    return dict(
        num_classes=len(classes),
        splits=dict(
            choose=dict(train="train", val="val", test="val"), final=dict(train="trainval", val=None, test="test")
        ),
        train_dataloader=loader("train", 32, True),
        val_dataloader=loader("val", 64, False),
        test_dataloader=loader("val", 64, False),
        val_evaluator=dict(type="Accuracy", topk=(1,)),
        test_evaluator=dict(type="Accuracy", topk=(1,)),
    )
