"""The data part that ``own_data = dict(...)`` of a plain file describes."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from typing import Any

from ..errors import InputError, nearest
from ..visualization.class_colours import default_palette

KEY = "own_data"
GRID = 112  # the smallest number of pixels that patches of 8, 14 and 16 divide
MOST_SHORT = 512  # pixels of the shorter side that images are read with, at most
SCALES = (0.75, 1.0, 1.25)  # of --tta
LONGEST = 4  # longer side over shorter side, at most
NEEDED = {"classes", "train", "val"}
OPTIONAL = {
    *("root", "palette", "test", "zero_is_void", "image_suffix", "mask_suffix", "short_side", "crop", "batch_size"),
}  # fmt: skip
SPLIT_KEYS = {"images", "masks", "list"}


def sizes_of(short_side: int) -> tuple[int, int]:
    """Return the shorter side that images are read with, and the crop, for images of a median shorter side."""
    side = min(short_side, MOST_SHORT)
    crop = side * 2 // 3 // GRID * GRID or side // GRID * GRID or side
    return side, crop


def data_part(own: Any, folder: str, where: str) -> dict[str, Any]:
    """Return the content of a data part: pipelines, data loaders and evaluators.

    Args:
        own: value of ``own_data``: ``classes`` and, for each of ``train``, ``val`` and perhaps ``test``, a dict of the
            folders ``images`` and ``masks`` and perhaps a ``list`` of names.
        folder: folder of the file, to which paths are relative.
        where: name for messages.

    Raises:
        InputError: an unknown or missing key, or a wrong value.
    """
    _check(own, where)
    root = osp.normpath(osp.join(folder, osp.expanduser(str(own.get("root", ".")))))
    side, crop = own.get("short_side", MOST_SHORT), own.get("crop", 0)
    crop = crop or sizes_of(side)[1]
    classes = tuple(own["classes"])
    scale = (LONGEST * side, side)
    labels: list[dict[str, Any]] = [dict(type="LoadLabelMap"), dict(type="CheckLabels", num_classes=len(classes))]
    train: list[dict[str, Any]] = [
        dict(type="LoadImageFromFile"),
        *labels,
        dict(type="RandomResize", scale=scale, ratio_range=(max(0.5, crop / side), 2.0), keep_ratio=True),
        dict(type="RandomCrop", crop_size=(crop, crop), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="PhotoMetricDistortion"),
        dict(type="PackSegInputs"),
    ]
    resize = dict(type="Resize", scale=scale, keep_ratio=True)
    test: list[dict[str, Any]] = [dict(type="LoadImageFromFile"), resize, *labels, dict(type="PackSegInputs")]
    sizes = [dict(resize, scale=(int(LONGEST * side * r), int(side * r))) for r in SCALES]
    flips = [dict(type="RandomFlip", prob=float(on), direction="horizontal") for on in (0, 1)]
    augmented = dict(type="TestTimeAug", transforms=[sizes, flips, [labels[0]], [dict(type="PackSegInputs")]])
    palette = [list(colour) for colour in own.get("palette") or default_palette(len(classes))]

    def dataset(split: str, pipeline: list[dict[str, Any]]) -> dict[str, Any]:
        files = own[split]
        return dict(
            type="BaseSegDataset",
            metainfo=dict(classes=classes, palette=palette),
            data_root=root,
            data_prefix=dict(img_path=files["images"], seg_map_path=files["masks"]),
            ann_file=files.get("list", ""),
            img_suffix=own.get("image_suffix", ".jpg"),
            seg_map_suffix=own.get("mask_suffix", ".png"),
            reduce_zero_label=bool(own.get("zero_is_void", False)),
            pipeline=pipeline,
        )

    def loader(split: str) -> dict[str, Any]:
        sampler = dict(type="DefaultSampler", shuffle=False)
        return dict(batch_size=1, num_workers=2, sampler=sampler, dataset=dataset(split, test))

    return dict(
        train_pipeline=train,
        test_pipeline=test,
        tta_pipeline=[dict(type="LoadImageFromFile"), augmented],
        train_dataloader=dict(
            batch_size=own.get("batch_size", 8),
            num_workers=2,
            sampler=dict(type="InfiniteSampler", shuffle=True),
            dataset=dataset("train", train),
        ),
        val_dataloader=loader("val"),
        test_dataloader=loader("test" if "test" in own else "val"),
        val_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
        test_evaluator=dict(type="IoUMetric", iou_metrics=["mIoU"]),
    )


def _check(own: Any, where: str) -> None:
    if not isinstance(own, Mapping):
        raise InputError(f"{where}: {KEY} must be a dict, got {own!r}; 'davpt-seg new-dataset FOLDER' writes one")
    for key in own:
        if key not in NEEDED | OPTIONAL:
            raise InputError(f"{where}: {KEY} has {key!r}; {nearest(key, sorted(NEEDED | OPTIONAL))}")
    lacking = sorted(NEEDED - own.keys())
    if lacking:
        raise InputError(f"{where}: {KEY} has no {', '.join(lacking)}; 'davpt-seg new-dataset FOLDER' writes them")
    classes = own["classes"]
    plain = isinstance(classes, (list, tuple)) and all(isinstance(name, str) and name for name in classes)
    if not plain or len(set(classes)) < len(classes) or len(classes) < 2:
        raise InputError(f"{where}: {KEY} classes must be two or more different names, got {classes!r}")
    palette = own.get("palette")
    if palette and not (isinstance(palette, (list, tuple)) and all(_is_colour(colour) for colour in palette)):
        raise InputError(f"{where}: {KEY} palette must hold colours (R, G, B) of 0 to 255, got {palette!r}")
    if palette and len(palette) != len(classes):
        raise InputError(f"{where}: {KEY} palette has {len(palette)} colours for {len(classes)} classes; omit it, or "
                         "give each class one")  # fmt: skip
    for key in ("root", "image_suffix", "mask_suffix"):
        if not isinstance(own.get(key, ""), str):
            raise InputError(f"{where}: {KEY} {key} must be a text in quotes, got {own[key]!r}")
    if not isinstance(own.get("zero_is_void", False), bool):
        raise InputError(f"{where}: {KEY} zero_is_void must be True or False, got {own['zero_is_void']!r}")
    for key in ("short_side", "crop", "batch_size"):
        value = own.get(key, 1)
        if type(value) is not int or value < 1:
            raise InputError(f"{where}: {KEY} {key} must be an integer of at least 1, got {value!r}")
    if own.get("crop", 1) > own.get("short_side", MOST_SHORT):
        raise InputError(
            f"{where}: {KEY} crop={own['crop']} is larger than short_side={own.get('short_side', MOST_SHORT)}"
        )
    for split in ("train", "val", "test"):
        files = own.get(split, dict(images="", masks=""))
        if not isinstance(files, Mapping) or not {"images", "masks"} <= files.keys() <= SPLIT_KEYS:
            raise InputError(f"{where}: {KEY} {split} must be a dict of images, masks and perhaps list, got {files!r}")
        for key, value in files.items():
            if not isinstance(value, str):
                raise InputError(f"{where}: {KEY} {split} {key} must be a path in quotes, got {value!r}")


def _is_colour(colour: Any) -> bool:
    return (
        isinstance(colour, (list, tuple))
        and len(colour) == 3
        and all(type(value) is int and 0 <= value <= 255 for value in colour)
    )
