"""Metric that writes the confusion matrix as a figure, and all scores as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmengine.registry import METRICS
from scipy.sparse import csr_matrix

from ..core.arguments import checked
from .atomic_files import AtomicLocalBackend


@METRICS.register_module()
class SegmentationReport(BaseMetric):
    """Compute and write the confusion matrix; for ``test_evaluator``, in addition to mmseg's ``IoUMetric``.

    The scores are those of ``IoUMetric``, computed by its formulas from the matrix, in percent and unrounded.

    Args:
        picture: file for the figure of the matrix (``.png``, ``.pdf``, ``.svg``), or None.
        json: file for scores, matrix and ``about``, or None.
        about: further entries of the JSON: config, checkpoint, ...
        ignore_index: label of void pixels, which are not counted.
        collect_device: see MMEngine's metrics.
    """

    @checked("SegmentationReport")
    def __init__(
        self,
        picture: Optional[str] = None,
        json: Optional[str] = None,
        about: Optional[Mapping[str, Any]] = None,
        ignore_index: int = 255,
        collect_device: str = "cpu",
    ) -> None:
        super().__init__(collect_device=collect_device)
        self.picture = picture
        self.json = json
        self.about = dict(about or {})
        self.ignore_index = ignore_index

    def process(self, data_batch: Any, data_samples: Sequence[Mapping[str, Any]]) -> None:
        """Count one batch; each image's counts are sparse, because it has few pairs of classes."""
        classes = len(self.dataset_meta["classes"])
        for sample in data_samples:
            truth, prediction = (sample[key]["data"].flatten().long() for key in ("gt_sem_seg", "pred_sem_seg"))
            known = truth != self.ignore_index
            pairs = classes * truth[known] + prediction.to(truth)[known]
            counts = torch.bincount(pairs, minlength=classes**2).reshape(classes, classes)
            self.results.append(csr_matrix(counts.cpu().numpy()))

    def compute_metrics(self, results: list[csr_matrix]) -> dict[str, float]:
        """Write the files; ``IoUMetric`` reports the means, so nothing is returned."""
        matrix = sum(results[1:], start=results[0]).toarray()
        classes = self.dataset_meta["classes"]
        scores = class_scores(matrix)
        if self.json:
            rows = [
                dict(name=name, IoU=_number(iou), Acc=_number(accuracy), pixels=int(pixels))
                for name, iou, accuracy, pixels in zip(classes, scores["IoU"], scores["Acc"], matrix.sum(axis=1))
            ]
            means = dict(aAcc=scores["aAcc"], mIoU=np.nanmean(scores["IoU"]), mAcc=np.nanmean(scores["Acc"]))
            report = dict(
                **self.about,
                images=len(results),
                metrics={name: _number(value) for name, value in means.items()},
                classes=rows,
                confusion_matrix=matrix.tolist(),
            )
            AtomicLocalBackend().put_text(json.dumps(report, indent=1) + "\n", self.json)
            print_log(f"scores: {self.json}", "current")
        if self.picture:
            from ..visualization.confusion import confusion_picture

            confusion_picture(matrix, classes).savefig(self.picture)
            print_log(f"confusion matrix: {self.picture}", "current")
        return {}


def class_scores(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """Return ``aAcc`` and, per class, ``IoU`` and ``Acc``, in percent; NaN for an absent class.

    Args:
        matrix: pixels of class i that were predicted as class j, (C, C).
    """
    from mmseg.evaluation import IoUMetric  # only after davpt_seg's fixes for mmcv-lite

    counts = torch.from_numpy(matrix).double()
    hit, truth, prediction = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
    scores = IoUMetric.total_area_to_metrics(hit, truth + prediction - hit, prediction, truth)
    return {name: 100 * values for name, values in scores.items()}


def _number(value: np.ndarray) -> Optional[float]:
    """Return a number, or None for NaN, which JSON lacks."""
    return None if np.isnan(value) else float(value)
