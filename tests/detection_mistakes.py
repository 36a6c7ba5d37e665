"""Mistakes of a user of detection: what is typed, and what the terminal answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .coco_sets import change, write_coco
from .mistakes import Mistake

WORDS = "method=linear,head=fcos_small,trunk=vitti,data=coco_folder:desk,schedule=adamw_iters,iters=25"
TRAIN = f"davpt-seg train {WORDS}"
FILE = "desk/annotations/instances_train.json"
VAL = "desk/annotations/instances_val.json"


def write_user(home: Path) -> None:
    """Write a user's folder: ``desk``, in COCO's layout."""
    write_coco(home / "desk")


def rewritten(change_content: Callable[[dict[str, Any]], object], file: str = FILE) -> Callable[[Path], None]:
    """Return what changes an annotation file."""

    def prepare(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        change_content(content)
        (folder / file).write_text(json.dumps(content))

    return prepare


def boxes(changed: Callable[[float, float, float, float], list[float]]) -> Callable[[Path], None]:
    def change_content(content: Mapping[str, Any]) -> None:
        for each in content["annotations"]:
            each["bbox"] = changed(*each["bbox"])

    return rewritten(change_content)


def without(name: str, file: str = FILE) -> Callable[[Path], None]:
    return rewritten(lambda content: [each.pop(name) for each in content["annotations"]], file)


DETECTION_MISTAKES = [
    Mistake(
        "a folder that is not there",
        TRAIN.replace("desk", "dsek"),
        ("data=coco_folder:dsek: there is no folder", "give the folder of the images after the colon"),
    ),
    Mistake(
        "a folder without annotation files",
        TRAIN.replace(":desk", ":desk/train"),
        ("has no annotation file for training, but no .json file", "train/_annotations.coco.json"),
    ),
    Mistake(
        "masks of boxes",
        TRAIN.replace("fcos_small", "mask_rcnn"),
        ("head=mask_rcnn learns masks, but 12 of 12 annotations", "have no segmentation: take head=faster_rcnn"),
        prepare=without("segmentation"),
    ),
    Mistake(
        "a head of segmentation",
        TRAIN.replace("fcos_small", "upernet"),
        ("head=upernet: detection (data=coco_folder:desk) has head=faster_rcnn or",),
    ),
    Mistake(
        "an annotation file that is cut off",
        TRAIN,
        ("instances_train.json is no JSON", "line 1 column"),
        prepare=lambda folder: (folder / FILE).write_text((folder / FILE).read_text()[:300]),
    ),
    Mistake(
        "results in place of annotations",
        TRAIN,
        ("instances_val.json holds a list, as results of a prediction are", "expected is COCO's format"),
        prepare=lambda folder: (folder / VAL).write_text("[]"),
    ),
    Mistake(
        "images that are not there",
        TRAIN,
        ("train: annotation file", "2 of 6 images are missing, for instance", "train1.png", "train4.png"),
        prepare=lambda folder: [(folder / "desk/train" / f"train{n}.png").unlink() for n in (1, 4)],
    ),
    Mistake(
        "another order of the categories in validation",
        TRAIN,
        ("instances_val.json has the categories pen, cup, and", "has cup, pen; write the same ones in the same order"),
        prepare=rewritten(lambda content: content["categories"].reverse(), VAL),
    ),
    Mistake(
        "normalised boxes",
        TRAIN,
        ("file whose boxes are all within 0 and 1", "multiply them by the image's width and height"),
        prepare=boxes(lambda x, y, w, h: [x / 112, y / 96, w / 112, h / 96]),
    ),
    Mistake(
        "corners in place of sizes",
        TRAIN,
        ("file whose boxes are two corners", "subtract the first corner from the second"),
        prepare=boxes(lambda x, y, w, h: [x, y, x + w, y + h]),
    ),
    Mistake(
        "two files joined with the same ids",
        TRAIN,
        ("annotations, id 1. What to do: number them again", "lists all"),
        prepare=rewritten(lambda content: content["annotations"].extend(content["annotations"][:3])),
    ),
    Mistake(
        "annotations without area",
        TRAIN,
        ("annotations[0], id 1 has no 'area', a number of square pixels",),
        prepare=without("area"),
    ),
    Mistake(
        "annotations of validation without iscrowd",
        TRAIN,
        ("val: annotation file", "6 x entry that lacks a value", "has no 'iscrowd', 0 or 1"),
        prepare=without("iscrowd", VAL),
    ),
    Mistake(
        "width and height swapped",
        TRAIN,
        ("1 x image whose entry has width and height swapped", "train0.png: 112 x 96, its entry 96 x 112"),
        prepare=lambda folder: change(folder / FILE, "images", 0, width=96, height=112),
    ),
    Mistake(
        "scores by another file",
        f"{TRAIN} --cfg-options val_evaluator.ann_file={FILE}",
        ("val_evaluator.ann_file is 'desk/annotations/instances_train.json', but the images are those of", VAL),
    ),
    Mistake(
        "overlaps of average precision as a list",
        f"{TRAIN} --cfg-options val_evaluator.iou_thrs=[0.5]",
        ("val_evaluator.iou_thrs must be None, because pycocotools fails with a number or a list", "mAP_50"),
    ),
    Mistake(
        "a best checkpoint by a score that is not computed",
        f"{TRAIN} --cfg-options val_evaluator.metric_items=[mAP_50] default_hooks.checkpoint.save_best=coco/bbox_mAP",
        ("default_hooks.checkpoint.save_best is 'coco/bbox_mAP', but val_evaluator has the scores coco/bbox_mAP_50",),
    ),
    Mistake(
        "a head of other classes",
        f"{TRAIN} --cfg-options model.bbox_head.num_classes=5",
        ("the training data set has 2 classes, but model.bbox_head.num_classes is 5", "model.bbox_head.num_classes=2"),
    ),
    Mistake(
        "a head of other classes, inside of another",
        f"{TRAIN.replace('fcos_small', 'faster_rcnn')} --cfg-options model.roi_head.bbox_head.num_classes=80",
        ("model.roi_head.bbox_head.num_classes is 80", "model.roi_head.bbox_head.num_classes=2"),
    ),
    Mistake(
        "classes in another order",
        f"{TRAIN} --cfg-options train_dataloader.dataset.metainfo.classes=[pen,cup]",
        ("class in another order than the file's categories", "'pen': number 0 of the classes, 1 in the file"),
    ),
    Mistake(
        "a class that the file does not have",
        f"{TRAIN} --cfg-options train_dataloader.dataset.metainfo.classes=[cup,pencil]",
        ("class of the config that is no category of the file", "'pencil': the file has 'cup', 'pen'"),
    ),
    Mistake(
        "COCO that is not there",
        TRAIN.replace("coco_folder:desk", "coco"),
        ("instances_train2017.json' does not exist", "COCO_ROOT is not set"),
    ),
    Mistake(
        "a folder to check",
        "davpt-seg check-dataset --coco desk",
        ("--coco desk is a folder; give the annotation file",),
    ),
    Mistake(
        "a check of images that are elsewhere",
        f"davpt-seg check-dataset --coco {FILE}",
        ("no folder in", "has its images, train0.png"),
        prepare=lambda folder: [shutil.rmtree(folder / "desk" / name) for name in ("train", "val")],
    ),
    Mistake("--images alone", "davpt-seg check-dataset --images desk", ("--images is for --coco FILE",)),
]
