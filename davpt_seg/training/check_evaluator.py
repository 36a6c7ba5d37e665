"""Check that scores are computed by the annotation file of the images that are predicted."""

from __future__ import annotations

import os.path as osp
from collections.abc import Mapping
from typing import Any

from ..audit.coco.coco_source import coco_source
from ..audit.preflight import unwrapped
from ..errors import InputError


def check_evaluator(cfg: Mapping[str, Any], split: str) -> None:
    """Refuse a ``CocoMetric`` whose annotation file is another one than the data set's.

    Args:
        cfg: config with ``SPLIT_dataloader`` and ``SPLIT_evaluator``.
        split: ``val`` or ``test``.

    Raises:
        InputError: there is one; or the data set is a part of a file, and the metric reads all of it.
    """
    evaluators: Any = cfg.get(f"{split}_evaluator")
    dataset: Any = (cfg.get(f"{split}_dataloader") or {}).get("dataset")
    several = isinstance(evaluators, (list, tuple))
    for number, metric in enumerate(evaluators if several else [evaluators]):
        if not isinstance(metric, Mapping) or metric.get("type") not in ("CocoMetric", "mmdet.CocoMetric"):
            continue
        key = f"{split}_evaluator.{number}.ann_file" if several else f"{split}_evaluator.ann_file"
        source, given = coco_source(unwrapped(dataset)) if dataset else None, metric.get("ann_file")
        if source is None or given is None:
            continue
        if unwrapped(dataset) is not dataset:
            raise InputError(
                f"{key} is {given!r}, but {split}_dataloader.dataset ({dataset['type']}) has a part of its images "
                f"only, and all others would count as missed: --cfg-options {key}=None"
            )
        if osp.realpath(given) != osp.realpath(source.ann_file):
            raise InputError(
                f"{key} is {given!r}, but the images are those of {source.ann_file!r}; scores need the same file in "
                f"both: --cfg-options {key}={source.ann_file}"
            )
