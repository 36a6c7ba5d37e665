"""Check of the metric of detection before training: its settings, and the annotations and images that it compares."""

from __future__ import annotations

import os.path as osp
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from mmengine.registry import MODELS

from ..audit.coco.coco_source import CocoSource, coco_source
from ..audit.preflight import unwrapped
from ..datasets.pipelines import all_steps, step_name
from ..errors import InputError
from .coco_metric import is_coco_metric, kinds_of, score_names, setting_problems
from .registered import find

META_KEYS = ("img_id", "ori_shape", "instances")  # of images; the last where the metric has no annotation file


def check_evaluator(cfg: Mapping[str, Any], split: str) -> None:
    """Refuse a ``CocoMetric`` that would fail after the training, or whose scores would mislead.

    Args:
        cfg: config with ``SPLIT_dataloader`` and ``SPLIT_evaluator``.
        split: ``val`` or ``test``.

    Raises:
        InputError: settings without use or with wrong scores; masks of a model that predicts none; another annotation
            file than the data set's, or that of a data set which reads a part of its images; images without what the
            metric reads; or a best checkpoint by a score that the metric does not have.
    """
    evaluators: Any = cfg.get(f"{split}_evaluator")
    several = isinstance(evaluators, (list, tuple))
    metrics = list(evaluators) if several else [evaluators]
    for number, metric in enumerate(metrics):
        if not is_coco_metric(metric):
            continue
        key = f"{split}_evaluator.{number}" if several else f"{split}_evaluator"
        for setting, problem in setting_problems(metric):
            raise InputError(f"{key}.{setting} {problem}")
        if "segm" in kinds_of(metric) and _predicts_no_masks(cfg.get("model")):
            raise InputError(
                f"{key}.metric has 'segm', but the model {cfg['model']['type']} predicts boxes without masks: "
                f"--cfg-options {key}.metric=bbox, or train a head with masks (head=mask_rcnn)"
            )
        _check_images(cfg, split, key, metric)
    if split == "val" and metrics and all(map(is_coco_metric, metrics)):
        _check_best(cfg, metrics)


def _check_images(cfg: Mapping[str, Any], split: str, key: str, metric: Mapping[str, Any]) -> None:
    """Compare what a metric reads with the data set."""
    dataset: Any = (cfg.get(f"{split}_dataloader") or {}).get("dataset")
    source, given = coco_source(unwrapped(dataset)) if dataset else None, metric.get("ann_file")
    if source is None:
        return
    place = f"{split}_dataloader.dataset"
    if metric.get("sort_categories"):
        raise InputError(
            f"{key}.sort_categories=True is for Objects365, whose data set sorts its categories; {dataset['type']} "
            f"does not, and classes would be mixed up: --cfg-options {key}.sort_categories=False"
        )
    missing = list(_missing_keys(source, META_KEYS[:2] if given else META_KEYS))
    if missing:
        why = "" if given else f" where {key}.ann_file is None"
        raise InputError(
            f"{place}.pipeline: meta_keys of PackDetInputs must hold {', '.join(map(repr, missing))}, which CocoMetric "
            f"reads{why}; add it to them"
        )
    if given is None:
        return
    part = _part(place, dataset)
    if part:
        raise InputError(
            f"{key}.ann_file is {given!r}, but {part} reads a part of its images only, and all others would count as "
            f"missed: --cfg-options {key}.ann_file=None"
        )
    if osp.realpath(given) != osp.realpath(source.ann_file):
        raise InputError(
            f"{key}.ann_file is {given!r}, but the images are those of {source.ann_file!r}; scores need the same file "
            f"in both: --cfg-options {key}.ann_file={source.ann_file}"
        )


def _missing_keys(source: CocoSource, needed: Sequence[str]) -> Iterator[str]:
    """Yield the keys that images lack after their pipeline; nothing where a custom step packs them."""
    packs = [step for step in all_steps(source.pipeline) if step_name(step) == "PackDetInputs"]
    for name in needed:
        if any(name not in step.get("meta_keys", META_KEYS[:2]) for step in packs):
            yield name


def _part(place: str, dataset: Mapping[str, Any]) -> str:
    """Name the key by which a data set reads a part of its file's images; empty if it reads all."""
    leaf = unwrapped(dataset)
    if leaf is not dataset:
        return f"{place} ({dataset['type']})"
    if leaf.get("indices") is not None:
        return f"{place}.indices"
    filtered = leaf.get("filter_cfg") and not leaf.get("test_mode")
    return f"{place}.filter_cfg (without test_mode=True)" if filtered else ""


def _predicts_no_masks(model: Any) -> bool:
    """Return whether a model is one of mmdet's, and no part of it has to do with masks."""
    if not isinstance(model, Mapping) or not isinstance(model.get("type"), str):
        return False
    kind = find(model["type"], MODELS)
    heads = {name: part for name, part in model.items() if name not in ("backbone", "data_preprocessor")}
    return getattr(kind, "__module__", "").startswith("mmdet.") and not any("mask" in each for each in _words(heads))


def _words(node: Any) -> Iterator[str]:
    """Yield the keys and texts of nested dicts and lists, in lower case."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield str(key).lower()
            yield from _words(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from _words(value)
    elif isinstance(node, str):
        yield node.lower()


def _check_best(cfg: Mapping[str, Any], metrics: Sequence[Mapping[str, Any]]) -> None:
    """Refuse a best checkpoint by a score that the metrics do not have, which MMEngine reads after a validation."""
    names = sorted(name for metric in metrics for name in score_names(metric))
    of_classes = any(metric.get("classwise") for metric in metrics)
    hook: Any = (cfg.get("default_hooks") or {}).get("checkpoint")
    check_best(hook.get("save_best") if isinstance(hook, Mapping) else None, names, of_classes)


def check_best(best: Any, names: Collection[str], of_classes: bool = False) -> None:
    """Check that the scores by which checkpoints are kept exist.

    Args:
        best: ``save_best`` of a checkpoint hook: a name, several, or None.
        names: names of the scores.
        of_classes: whether there are average precisions of single classes besides.

    Raises:
        InputError: one does not exist.
    """
    for key in [best] if isinstance(best, str) else best or ():
        if key not in ("auto", *names) and not (of_classes and key.endswith("_precision")):
            raise InputError(
                f"default_hooks.checkpoint.save_best is {key!r}, but val_evaluator has the scores "
                f"{', '.join(names) or '(none)'}"
            )
