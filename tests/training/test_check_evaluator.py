"""The metric of detection is refused before training where it would fail after it, or mislead."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mmdet")

import torch
from mmengine.config import Config
from mmengine.registry import METRICS, init_default_scope
from mmengine.structures import InstanceData
from pycocotools.coco import COCO

from davpt_seg.errors import InputError
from davpt_seg.training.check_evaluator import check_evaluator
from davpt_seg.training.coco_metric import score_names, setting_problems

from ..coco_sets import CLASSES, SIZE, write_coco


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    init_default_scope("mmdet")
    return write_coco(tmp_path_factory.mktemp("desk"))


def computed(root: Path, found: bool = True, **settings: Any) -> Mapping[str, float]:
    """Return mmdet's scores of the annotations themselves as predictions, or of none."""
    file = str(root / "annotations/instances_val.json")
    truth = COCO(file)
    metric = METRICS.build(dict(type="mmdet.CocoMetric", ann_file=file, **settings))
    metric.dataset_meta = dict(classes=CLASSES)
    for image_id in truth.getImgIds():
        objects = truth.loadAnns(truth.getAnnIds(imgIds=[image_id])) if found else []
        boxes = torch.tensor([each["bbox"] for each in objects], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        masks = [truth.annToRLE(each) for each in objects]
        labels = torch.tensor([each["category_id"] - 1 for each in objects], dtype=torch.int64)
        predicted = InstanceData(bboxes=boxes, labels=labels, scores=torch.ones(len(objects)), masks=masks)
        sample = dict(img_id=image_id, ori_shape=SIZE[::-1], pred_instances=predicted)
        metric.process({}, [sample])
    scores: Mapping[str, float] = metric.evaluate(len(truth.getImgIds()))
    return scores


GOOD: list[dict[str, Any]] = [
    {},
    dict(metric=["bbox", "segm"]),
    dict(metric="proposal"),
    dict(metric="proposal_fast", proposal_nums=[5], iou_thrs=[0.5]),
    dict(metric=["bbox", "proposal_fast"], proposal_nums=(100, 300, 1000)),
    dict(proposal_nums=(100, 1, 10), metric_items=["mAP", "mAP_50"]),
    dict(metric_items=["mAP", "AR@300"], prefix="desk"),
]


@pytest.mark.parametrize("settings", GOOD, ids=str)
def test_settings_that_are_accepted_give_perfect_predictions_a_perfect_score(
    settings: dict[str, Any], root: Path
) -> None:
    assert not list(setting_problems(settings))
    scores = computed(root, **copy.deepcopy(settings))
    assert set(scores) == score_names(settings)
    of_sizes = {name for name in scores if name.partition("@")[0][-2:] in ("_s", "_m", "_l")}
    assert {scores[name] for name in scores.keys() - of_sizes} == {1.0}


BAD: list[tuple[dict[str, Any], str]] = [
    (dict(metric="boxes"), r"metric must be one or a list of bbox, segm, .*; got 'boxes'"),
    (dict(metric=("bbox", "segm")), r"metric must be one or a list of .*; got \('bbox', 'segm'\)"),
    (dict(metric=[]), r"metric must be one or a list of .*; got \[\]"),
    (dict(iou_thrs=[0.5]), r"iou_thrs must be None, .*mAP_50 and mAP_75; got \[0.5\]"),
    (dict(iou_thrs=0.5), r"iou_thrs must be None, .*; got 0.5"),
    (dict(iou_thrs=[0.5, 0.75], metric="proposal"), r"iou_thrs must be None"),
    (dict(metric_items=["AP"]), r"metric_items must be a list of scores, got \['AP'\]; did you mean 'mAP'"),
    (dict(metric_items="mAP"), r"metric_items must be a list of scores, got 'mAP'; known: mAP"),
    (dict(proposal_nums=100), r"proposal_nums must be a list of numbers .*; got 100"),
    (dict(proposal_nums=["100", "300", "1000"]), r"proposal_nums must be a list of numbers"),
    (dict(proposal_nums=(100, 300)), r"proposal_nums must be three numbers with 100 among them.*got \(100, 300\)"),
    (dict(proposal_nums=(10, 50, 300)), r"proposal_nums must be three numbers with 100 among them"),
    (dict(format_only=True), r"format_only writes predictions and no scores: set outfile_prefix"),
]


@pytest.mark.parametrize(("settings", "message"), BAD, ids=str)
def test_settings_that_are_refused_fail_in_mmdet_or_have_no_score(
    settings: dict[str, Any], message: str, root: Path
) -> None:
    with pytest.raises(InputError, match=rf"^val_evaluator\.{message}"):
        check_evaluator(dict(val_evaluator=dict(type="CocoMetric", **settings)), "val")
    try:
        scores = computed(root, **copy.deepcopy(settings))
    except (KeyError, TypeError, ValueError, IndexError, AssertionError):
        return
    assert scores.get("coco/bbox_mAP", -1) == -1


def test_recalls_have_the_numbers_of_their_names(root: Path) -> None:
    """mmdet names recall AR@100 whatever the first number is: here 1, in images of two objects."""
    settings: dict[str, Any] = dict(metric="proposal", proposal_nums=(1, 10, 100))
    assert computed(root, **settings)["coco/AR@100"] == 0.5
    assert computed(root, metric="proposal")["coco/AR@100"] == 1
    with pytest.raises(InputError, match=r"proposal_nums must be \[100, 300, 1000\], the numbers in the names"):
        check_evaluator(dict(val_evaluator=[dict(type="CocoMetric", **settings)]), "val")


def test_a_file_in_the_place_of_a_folder_is_met_before_the_training(root: Path) -> None:
    file = root / "annotations/instances_val.json"
    for prefix in (f"{file}/a/b", str(root), 3):
        assert [name for name, _ in setting_problems(dict(outfile_prefix=prefix))] == ["outfile_prefix"]
    assert not list(setting_problems(dict(outfile_prefix=str(root / "new/folder/found"), format_only=True)))


@pytest.mark.parametrize("metric", [["bbox"], ["bbox", "segm"], ["proposal"]])
def test_no_object_in_any_image_is_an_average_precision_of_zero(metric: list[str], root: Path) -> None:
    scores = computed(root, found=False, metric=metric, classwise=metric != ["proposal"])
    names = score_names(dict(metric=metric))
    assert names <= set(scores)
    absent = {name for name, score in computed(root, metric=metric).items() if score == -1}  # no object of that size
    assert {scores[name] for name in names - absent} == {0.0} and {scores[name] for name in absent} <= {-1.0}


def experiment(root: Path, **changes: Any) -> Config:
    dataset = dict(
        type="CocoDataset",
        data_root=str(root),
        ann_file="annotations/instances_val.json",
        metainfo=dict(classes=CLASSES),
        data_prefix=dict(img="val/"),
        test_mode=True,
        pipeline=[dict(type="LoadImageFromFile"), dict(type="PackDetInputs", meta_keys=("img_id", "ori_shape"))],
    )
    evaluator = dict(type="CocoMetric", ann_file=str(root / "annotations/instances_val.json"))
    cfg = Config(
        dict(
            model=dict(type="FCOS", bbox_head=dict(type="FCOSHead")),
            val_dataloader=dict(dataset=dataset),
            val_evaluator=evaluator,
            default_hooks=dict(checkpoint=dict(type="CheckpointHook", save_best="coco/bbox_mAP")),
        )
    )
    cfg.merge_from_dict(changes)
    return cfg


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_evaluator.metric": ["bbox", "segm"]}, r"metric has 'segm', but the model FCOS predicts boxes without"),
        ({"val_evaluator.ann_file": None}, r"must hold 'instances', which CocoMetric reads where .*ann_file is None"),
        ({"val_dataloader.dataset.indices": 2}, r"val_dataloader.dataset.indices reads a part .*ann_file=None"),
        (
            {"val_dataloader.dataset.test_mode": False, "val_dataloader.dataset.filter_cfg": dict(min_size=32)},
            r"val_dataloader.dataset.filter_cfg \(without test_mode=True\) reads a part of its images only",
        ),
        ({"val_evaluator.sort_categories": True}, r"sort_categories=True is for Objects365"),
        ({"val_evaluator.metric_items": ["mAP_50"]}, r"save_best is 'coco/bbox_mAP', but .* scores coco/bbox_mAP_50$"),
        ({"val_evaluator.prefix": "desk"}, r"save_best is 'coco/bbox_mAP', but .*desk/bbox_mAP,"),
        (
            {"val_evaluator.format_only": True, "val_evaluator.outfile_prefix": "out/found"},
            r"save_best is 'coco/bbox_mAP', but val_evaluator has the scores \(none\)",
        ),
        ({"default_hooks.checkpoint.save_best": ["coco/segm_mAP"]}, r"save_best is 'coco/segm_mAP'"),
    ],
    ids=str,
)
def test_an_evaluation_that_would_fail_after_the_training_is_refused_in_one_paragraph(
    changes: dict[str, Any], message: str, root: Path
) -> None:
    check_evaluator(experiment(root), "val")
    with pytest.raises(InputError, match=message) as caught:
        check_evaluator(experiment(root, **changes), "val")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"model": dict(type="SOLO", mask_head=dict(type="SOLOHead")), "val_evaluator.metric": ["bbox", "segm"]},
        {"default_hooks.checkpoint.save_best": "auto"},
        {"default_hooks.checkpoint.save_best": "coco/cup_precision", "val_evaluator.classwise": True},
        {"default_hooks.checkpoint.save_best": None},
        {"val_dataloader.dataset.filter_cfg": dict(filter_empty_gt=True)},
    ],
    ids=str,
)
def test_an_evaluation_that_works_is_accepted(changes: dict[str, Any], root: Path) -> None:
    check_evaluator(experiment(root, **changes), "val")
