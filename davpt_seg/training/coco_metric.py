"""Settings of mmdet's ``CocoMetric`` that fail or mislead after a training, and the names of its scores."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator, Mapping
from typing import Any

from ..datasets.pipelines import step_name
from ..errors import nearest

KINDS = ("bbox", "segm", "proposal", "proposal_fast")
PRECISIONS = ("mAP", "mAP_50", "mAP_75", "mAP_s", "mAP_m", "mAP_l")
RECALLS = ("AR@100", "AR@300", "AR@1000", "AR_s@1000", "AR_m@1000", "AR_l@1000")
NUMS = (100, 300, 1000)  # predictions per image that the names of recalls hold


def is_coco_metric(metric: Any) -> bool:
    """Return whether an entry of ``val_evaluator`` or ``test_evaluator`` is mmdet's ``CocoMetric``."""
    return isinstance(metric, Mapping) and step_name(metric) == "CocoMetric"


def kinds_of(metric: Mapping[str, Any]) -> list[Any]:
    """Return what a metric compares, some of :data:`KINDS`; its settings are as a config has them."""
    kinds = metric.get("metric", "bbox")
    return kinds if isinstance(kinds, list) else [kinds]


def score_names(metric: Mapping[str, Any]) -> set[str]:
    """Return the names of the scores that a metric computes, without those of single classes."""
    if metric.get("format_only"):
        return set()
    items = metric.get("metric_items")
    names: set[str] = set()
    for kind in kinds_of(metric):
        if kind == "proposal_fast":
            names |= {f"AR@{number}" for number in metric.get("proposal_nums", NUMS)}
        elif kind == "proposal":
            names |= set(items or RECALLS)
        else:
            names |= {f"{kind}_{item}" for item in items or PRECISIONS}
    return {f"{metric.get('prefix') or 'coco'}/{name}" for name in names}


def setting_problems(metric: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield settings that a metric cannot use, or by which its scores have wrong values or names.

    Args:
        metric: config of a ``CocoMetric``.

    Yields:
        The setting, and the rest of a sentence that says what is wrong and what to do.
    """
    kinds, items, prefix = kinds_of(metric), metric.get("metric_items"), metric.get("outfile_prefix")
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        yield "metric", f"must be one or a list of {', '.join(KINDS)}; got {metric['metric']!r}"
        return
    if metric.get("iou_thrs") is not None and kinds != ["proposal_fast"]:
        yield (
            "iou_thrs",
            "must be None, because pycocotools fails with a number or a list. AP at the overlaps 0.5 and 0.75 is "
            f"mAP_50 and mAP_75; got {metric['iou_thrs']!r}",
        )
    if items is not None:
        listed = items if isinstance(items, (list, tuple)) else [items]
        wrong = next((item for item in listed if item not in PRECISIONS + RECALLS), None)
        if listed is not items or not items or wrong is not None:
            yield "metric_items", f"must be a list of scores, got {items!r}; {nearest(wrong, PRECISIONS + RECALLS)}"
            return
    problem = _problem_of_nums(metric.get("proposal_nums", NUMS), kinds, items)
    if problem:
        yield "proposal_nums", problem
    if metric.get("format_only") and prefix is None:
        yield "format_only", "writes predictions and no scores: set outfile_prefix=FOLDER/NAME, or remove it"
    if prefix is not None:
        yield from _problem_of_prefix(prefix)


def _problem_of_nums(nums: Any, kinds: list[str], items: Any) -> str:
    """Describe what is wrong with ``proposal_nums``: pycocotools computes mAP at 100, others at the third number."""
    if not isinstance(nums, (list, tuple)) or not nums or not all(type(each) is int and each > 0 for each in nums):
        return f"must be a list of numbers of predictions per image, such as {list(NUMS)}; got {nums!r}"
    if kinds == ["proposal_fast"]:
        return ""
    if len(nums) < len(NUMS) or NUMS[0] not in nums:
        return f"must be three numbers with 100 among them, at which pycocotools computes mAP; got {nums!r}"
    named = RECALLS if "proposal" in kinds and items is None else items or ()
    if tuple(sorted(nums)[:3]) != NUMS and set(named) & set(RECALLS):
        return f"must be {list(NUMS)}, the numbers in the names of the recalls, such as AR@300; got {nums!r}"
    return ""


def _problem_of_prefix(prefix: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(prefix, str) or not osp.basename(prefix) or osp.isdir(prefix):
        yield "outfile_prefix", f"must be FOLDER/NAME, the start of the files to write; got {prefix!r}"
        return
    folder = osp.dirname(osp.abspath(prefix))
    while not osp.exists(folder):
        folder = osp.dirname(folder)
    if not osp.isdir(folder):
        yield "outfile_prefix", f"must be FOLDER/NAME, but {folder!r} is a file; got {prefix!r}"
