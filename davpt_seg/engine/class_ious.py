"""IoU of each class, from what mmseg's metric has counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from mmengine.dist import all_reduce, get_rank, get_world_size
from mmengine.runner import Runner
from torch import Tensor


def class_ious(runner: Runner) -> dict[str, float]:
    """Return the IoU of each class of a validation whose last batch is counted and whose scores are not computed yet.

    Every process of a distributed training must call it.

    Returns:
        IoU in percent, by class; without classes that are in no mask and no prediction. Empty without an ``IoUMetric``.
    """
    from mmseg.evaluation import IoUMetric  # only after davpt_seg's fixes for mmcv-lite

    metrics = getattr(runner.val_evaluator, "metrics", ())
    metric = next((each for each in metrics if isinstance(each, IoUMetric) and not each.format_only), None)
    if metric is None:
        return {}
    classes = metric.dataset_meta["classes"]
    areas = total_areas(metric.results, len(classes), len(runner.val_dataloader.dataset))
    all_reduce(areas)
    scores = IoUMetric.total_area_to_metrics(*areas)["IoU"]
    return {name: 100 * float(iou) for name, iou in zip(classes, scores) if not math.isnan(iou)}


def total_areas(results: Sequence[tuple[Tensor, ...]], num_classes: int, images: int) -> Tensor:
    """Sum areas over the images of this process, without those that its sampler repeats to fill the last batch.

    Args:
        results: of each image, pixels (num_classes,) of intersection, union, prediction and truth.
        num_classes: number of classes.
        images: images of all processes.

    Returns:
        Pixels (4, num_classes), float64.
    """
    own = len(range(get_rank(), images, get_world_size()))
    total = torch.zeros(4, num_classes, dtype=torch.float64)
    for areas in results[:own]:
        total += torch.stack([area.double().cpu() for area in areas])
    return total
