"""The data part of ``data=coco_folder:PATH``: images with boxes, and perhaps masks, in COCO's format."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import DataError, some
from ..visualization.class_colours import default_palette
from .coco_layout import Split, look_for_coco

logger = logging.getLogger("davpt_seg")

MOST = 1024  # pixels of the longer side that images are read with, at most
RATIOS = (0.5, 2.0)  # of the training images' sizes
KEYS = ("img_id", "img_path", "ori_shape", "img_shape", "scale_factor", "instances")


def coco_folder_part(root: Path) -> dict[str, Any]:
    """Return the content of the data part of a folder; nothing is written.

    Classes are the categories of the training file, in its order. Images are read with the median of their longer
    sides. Without a validation file, a fifth of the training images is for validation, the same as long as the file's
    images are.

    Raises:
        DataError: the folder's files cannot be used.
    """
    splits = look_for_coco(root)
    train = splits["train"]
    classes = classes_of_splits(splits)
    side = min(int(np.median(train.sides)), MOST)
    masks = not train.without_masks
    metainfo = dict(classes=classes, palette=[list(colour) for colour in default_palette(len(classes))])
    resize: dict[str, Any] = dict(type="Resize", scale=(side, side), keep_ratio=True)
    labels: dict[str, Any] = dict(type="LoadAnnotations", with_bbox=True, **(dict(with_mask=True) if masks else {}))
    training: list[dict[str, Any]] = [
        dict(type="LoadImageFromFile"),
        labels,
        dict(type="RandomResize", scale=(side, side), ratio_range=RATIOS, keep_ratio=True),
        dict(type="RandomCrop", crop_type="absolute_range", crop_size=(side, side), allow_negative_crop=True),
        dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2)),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PackDetInputs"),
    ]
    packed = dict(type="PackDetInputs", meta_keys=KEYS)
    test: list[dict[str, Any]] = [dict(type="LoadImageFromFile"), resize, labels, packed]

    def dataset(split: Split, pipeline: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return dict(
            type="CocoDataset",
            metainfo=metainfo,
            data_root=str(root),
            ann_file=split.ann_file.relative_to(root).as_posix(),
            data_prefix=dict(img=f"{split.images}/"),
            pipeline=pipeline,
            **more,
        )

    def evaluation(data: dict[str, Any]) -> dict[str, Any]:
        return dict(
            batch_size=1,
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=data,
        )

    of_training = dataset(train, training, filter_cfg=dict(filter_empty_gt=True))
    if "val" in splits:
        validation = dataset(splits["val"], test, test_mode=True)
    else:
        _report_drawn(root, len(train.sides))
        held_out = dataset(train, test, test_mode=True)
        validation = dict(type="TrainingPart", part="val", dataset=held_out)
        of_training = dict(type="TrainingPart", part="train", dataset=of_training)
    tested = dataset(splits["test"], test, test_mode=True) if "test" in splits else validation
    metric = dict(type="CocoMetric", ann_file=None, metric=["bbox"])
    return dict(
        num_classes=len(classes),
        without_masks="" if masks else _without_masks(train),
        train_dataloader=dict(
            batch_size=8,
            num_workers=2,
            persistent_workers=True,
            sampler=dict(type="DefaultSampler", shuffle=True),
            batch_sampler=dict(type="AspectRatioBatchSampler"),
            dataset=of_training,
        ),
        val_dataloader=evaluation(validation),
        test_dataloader=evaluation(tested),
        val_evaluator=metric,
        test_evaluator=dict(metric),
    )


def classes_of_splits(splits: dict[str, Split]) -> tuple[str, ...]:
    """Return the names of the classes, in the order of the training file.

    Roboflow writes the project's name as a first category, the others' supercategory: it is omitted if no annotation
    of any split has it.

    Raises:
        DataError: no category, two of one name, or other names or another order in another split.
    """
    left_out = {
        name
        for number, name in splits["train"].categories
        if name in splits["train"].parents and not any(_has(split, name) for split in splits.values())
    }
    named = {split: [name for _, name in found.categories if name not in left_out] for split, found in splits.items()}
    classes = named["train"]
    path = splits["train"].ann_file
    if not classes:
        raise DataError(f"{path} has no category with annotations")
    twice = next((name for name in classes if classes.count(name) > 1), None)
    if twice is not None:
        ids = [str(number) for number, name in splits["train"].categories if name == twice]
        raise DataError(
            f"{path}: the categories {' and '.join(ids)} are both named {twice!r}; take the one without annotations "
            "out, or rename it: mmdet finds categories by their names"
        )
    for split, names in named.items():
        if names != classes:
            raise DataError(
                f"{splits[split].ann_file} has the categories {some(names)}, and {path} has {some(classes)}; write the "
                "same ones in the same order in both: mmdet numbers labels by it, and names would be wrong"
            )
    if left_out:
        logger.info("%s: the supercategory %s has no annotation and is left out", path, some(sorted(left_out)))
    return tuple(classes)


def _has(split: Split, name: str) -> bool:
    return any(number in split.used for number, each in split.categories if each == name)


def _report_drawn(root: Path, count: int) -> None:
    from ..datasets.training_part import held_out_count

    logger.warning(
        "%s has no annotation file for validation: %d of its %d images are held out for it, the same ones as long as "
        "these are its images. Give it a val.json to choose them", root, held_out_count(count), count,
    )  # fmt: skip


def _without_masks(split: Split) -> str:
    return f"{split.without_masks:,} of {split.annotations:,} annotations of {split.ann_file} have no segmentation"
