"""``data=coco_folder:PATH``: the usual layouts, classes in the order of the file, and splits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable

import pytest
from mmengine.registry import DATASETS, init_default_scope
from pycocotools.coco import COCO

from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose

from ..coco_sets import CLASSES, change, coco_content, write_coco, write_images, write_json

EXPERIMENT = dict(method="linear", head="fcos_small", trunk="vitti", schedule="adamw_iters")


def roboflow(root: Path) -> Path:
    for split, count in (("train", 6), ("valid", 3), ("test", 2)):
        content = coco_content([f"{split}{n}.jpg" for n in range(count)])
        content["categories"].insert(0, dict(id=0, name="desk", supercategory="none"))
        for category in content["categories"][1:]:
            category["supercategory"] = "desk"
        write_images(root / split, content)
        write_json(root / split / "_annotations.coco.json", content)
    return root


def in_the_folder(root: Path) -> Path:
    for split, folder in (("training", "images/training"), ("validation", "images/validation")):
        content = coco_content([f"{split}{n}.png" for n in range(4)])
        write_images(root / folder, content)
        write_json(root / f"{split}.json", content)
    return root


def mixed_images(root: Path) -> Path:
    for split in ("train", "val"):
        content = coco_content([f"{split}/deep/{n}.png" for n in range(4)])
        write_images(root / "pictures", content)
        write_json(root / "annotations" / f"{split}2024.json", content)
    return root


def only_one_file(root: Path) -> Path:
    content = coco_content([f"{n}.png" for n in range(10)])
    write_images(root / "images" / "default", content)
    write_json(root / "annotations" / "instances_default.json", content)
    return root


def built(root: Path) -> dict[str, Any]:
    cfg = compose(**EXPERIMENT, data=f"coco_folder:{root}")
    init_default_scope("mmdet")
    loaders = {split: cfg[f"{split}_dataloader"]["dataset"] for split in ("train", "val", "test")}
    return {split: DATASETS.build(dict(dataset)) for split, dataset in loaders.items()}


@pytest.mark.parametrize("write", [write_coco, roboflow, in_the_folder, mixed_images, only_one_file])
def test_objects_have_the_boxes_and_names_that_pycocotools_reads(write: Callable[[Path], Path], tmp_path: Path) -> None:
    sets = built(write(tmp_path / "desk"))
    for dataset in sets.values():
        assert dataset.metainfo["classes"] == CLASSES
        coco = COCO(dataset.ann_file)
        assert len(dataset)
        for number in range(len(dataset)):
            item = dataset.get_data_info(number)
            assert Path(item["img_path"]).is_file()
            truth = coco.loadAnns(coco.getAnnIds([item["img_id"]]))
            found = [(CLASSES[each["bbox_label"]], *each["bbox"]) for each in item["instances"]]
            assert found == [
                (coco.cats[each["category_id"]]["name"], x, y, x + width, y + height)
                for each in truth
                for x, y, width, height in [each["bbox"]]
            ]


def test_a_category_that_names_itself_as_supercategory_is_a_class(tmp_path: Path) -> None:
    root = only_one_file(tmp_path / "desk")
    path = root / "annotations" / "instances_default.json"
    content = json.loads(path.read_text())
    content["categories"].append(dict(id=99, name="bird"))  # of which nothing is drawn yet
    for category in content["categories"]:
        category["supercategory"] = category["name"]
    write_json(path, content)
    assert built(root)["train"].metainfo["classes"] == (*CLASSES, "bird")


def test_a_folder_without_validation_holds_a_fifth_out(tmp_path: Path) -> None:
    sets = built(only_one_file(tmp_path / "desk"))
    names = {
        split: {dataset.get_data_info(n)["img_path"] for n in range(len(dataset))} for split, dataset in sets.items()
    }
    assert (len(names["train"]), len(names["val"])) == (8, 2)
    assert not names["train"] & names["val"] and names["val"] == names["test"]
    assert compose(**EXPERIMENT, data=f"coco_folder:{tmp_path / 'desk'}").val_evaluator.ann_file is None


def test_scores_are_computed_by_the_split_s_file(tmp_path: Path) -> None:
    cfg = compose(**EXPERIMENT, data=f"coco_folder:{roboflow(tmp_path / 'desk')}")
    assert Path(cfg.val_evaluator.ann_file).parent.name == "valid"
    assert Path(cfg.test_evaluator.ann_file).parent.name == "test"


def test_images_are_read_at_their_size(tmp_path: Path) -> None:
    cfg = compose(**EXPERIMENT, data=f"coco_folder:{write_coco(tmp_path / 'desk')}")
    (resize,) = [step for step in cfg.val_dataloader.dataset.pipeline if step.type == "Resize"]
    assert tuple(resize.scale) == (112, 112)


def test_masks_are_read_only_where_all_annotations_have_one_and_a_head_uses_them(tmp_path: Path) -> None:
    root = write_coco(tmp_path / "desk")
    with_head = {**EXPERIMENT, "head": "mask_rcnn"}
    cfg = compose(**with_head, data=f"coco_folder:{root}")
    assert cfg.train_dataloader.dataset.pipeline[1].with_mask
    assert not compose(**EXPERIMENT, data=f"coco_folder:{root}").train_dataloader.dataset.pipeline[1].with_mask
    change(root / "annotations/instances_train.json", "annotations", 3, segmentation=[])
    with pytest.raises(InputError, match=r"1 of 12 annotations of .* have no segmentation: take head=faster_rcnn"):
        compose(**with_head, data=f"coco_folder:{root}")


def nothing(root: Path) -> None:
    root.mkdir()


def no_images(root: Path) -> None:
    write_json(root / "train.json", coco_content(["a.png"]))


def other_order(root: Path) -> None:
    path = write_coco(root) / "annotations/instances_val.json"
    content = json.loads(path.read_text())
    content["categories"].reverse()
    write_json(path, content)


def one_name_twice(root: Path) -> None:
    path = roboflow(root) / "train/_annotations.coco.json"
    change(path, "categories", 0, name="cup")
    change(path, "categories", 1, supercategory="cup")


def two_files(root: Path) -> None:
    for name in ("train2014.json", "train2017.json"):
        write_json(root / name, coco_content(["a.png"]))


def only_validation(root: Path) -> None:
    for name in ("val.json", "test.json"):
        write_json(root / name, coco_content(["a.png"]))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (nothing, "has no annotation file for training, but no .json file; expected is annotations/"),
        (no_images, "no folder in .* has its images, a.png; put them there"),
        (other_order, "instances_val.json has the categories pen, cup, and .* has cup, pen; write the same"),
        (one_name_twice, "the categories 0 and 1 are both named 'cup'"),
        (two_files, "has 2 annotation files for train, train2014.json, train2017.json; keep one"),
        (only_validation, "has no annotation file for training, but"),
    ],
)
def test_a_folder_that_cannot_be_used_is_refused(write: Callable[[Path], None], says: str, tmp_path: Path) -> None:
    write(tmp_path / "desk")
    with pytest.raises(InputError, match=says):
        compose(**EXPERIMENT, data=f"coco_folder:{tmp_path / 'desk'}")
