"""Is the label of void the same everywhere? With more than 255 classes, the usual 255 is one of them."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

from mmengine.config import Config
from mmengine.registry import Registry

from ..datasets.load_label_map import MOST
from ..datasets.pipelines import step_name
from ..errors import InputError

ARGUMENTS = ("ignore_index", "seg_pad_val")
MOST_IN_METRIC = 4096  # IoUMetric counts by float32 bins, which from 8,192 classes on are a class apart from their own


def check_void(cfg: Config) -> None:
    """Refuse a config with more than 255 classes in which not all parts take the same label for void, or a class.

    With up to 255 classes the parts' defaults, 255, agree, and a label that some part does not know is named when it is
    met; with more, 255 is a class that a loss or a score would omit without a word.

    Args:
        cfg: a config of mmseg, with or without data sets.

    Raises:
        InputError: parts that differ, or a label that is a class or that 16 bits do not hold, with each part's value;
            more classes than ``IoUMetric`` counts apart.
    """
    classes = most_classes(cfg)
    if classes <= 255:
        return
    found = dict(void_labels(cfg))
    values = set(found.values())
    if len(values) > 1 or not all(isinstance(v, int) and classes <= v <= MOST for v in values):
        raise InputError(
            f"{classes} classes: every part must have the same label for void, from {classes} to {MOST}, as 255 is a "
            "class (docs/data.md); got " + ", ".join(f"{name}={value}" for name, value in found.items())
        )
    metrics = [step_name(metric) for split in ("val", "test") for metric in _list(cfg.get(f"{split}_evaluator"))]
    if classes > MOST_IN_METRIC and "IoUMetric" in metrics:
        raise InputError(
            f"{classes} classes: IoUMetric, which counts in float32, distinguishes {MOST_IN_METRIC} classes; use "
            "another metric in val_evaluator and test_evaluator"
        )


def most_classes(cfg: Config) -> int:
    """Return the largest number of classes that a head has."""
    model = cfg.get("model") or {}
    model = model.get("module", model)  # inside of a test-time augmentation
    heads = [head for key in ("decode_head", "auxiliary_head") for head in _list(model.get(key))]
    return max((head.get("num_classes") or 0 for head in heads), default=0)


def void_labels(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Iterate over all parts of a config that have a label for void: dotted name and value, the default where unset."""
    from mmseg.registry import DATASETS, METRICS, MODELS  # only after davpt_seg has made mmcv-lite enough for mmseg

    yield from _labels(cfg.model, "model", MODELS)
    for split in ("train", "val", "test"):
        yield from _labels(cfg.get(f"{split}_dataloader"), f"{split}_dataloader", DATASETS)
        yield from _labels(cfg.get(f"{split}_evaluator"), f"{split}_evaluator", METRICS)


def _labels(part: Any, name: str, registry: Registry) -> Iterator[tuple[str, Any]]:
    from mmseg.registry import TRANSFORMS

    if isinstance(part, (list, tuple)):
        for i, each in enumerate(part):
            yield from _labels(each, f"{name}.{i}", registry)
        return
    if not isinstance(part, Mapping):
        return
    if "type" in part:
        kind = part["type"] if inspect.isclass(part["type"]) else registry.get(part["type"])
        for argument in ARGUMENTS:
            default = _default(kind, argument)
            if argument in part or default is not None:
                yield f"{name}.{argument}", part.get(argument, default)
        if step_name(part) == "LoadAnnotations":
            yield name, "LoadAnnotations, which reads 8 bits (LoadLabelMap does not)"
        if kind is not None and kind.__name__ == "Pad":  # mmcv's
            padding = part.get("pad_val") or dict(seg=255)
            yield f"{name}.pad_val.seg", padding.get("seg", 255) if isinstance(padding, Mapping) else 255
    elif name.endswith(".guidance"):
        labelling = part.get("labelling", {})
        yield f"{name}.labelling.ignore_index", labelling.get("ignore_index", 255)
    for key, each in part.items():
        yield from _labels(each, f"{name}.{key}", TRANSFORMS if key == "pipeline" else registry)


def _default(kind: Any, argument: str) -> Any:
    """Return the default of a class's argument, also where a class above it has the argument; None for none."""
    for base in inspect.getmro(kind) if inspect.isclass(kind) else ():
        parameter = (
            inspect.signature(vars(base)["__init__"]).parameters.get(argument) if "__init__" in vars(base) else None
        )
        if parameter is not None:
            return None if parameter.default is inspect.Parameter.empty else parameter.default
    return None


def _list(part: Any) -> list[Any]:
    return list(part) if isinstance(part, (list, tuple)) else [part] if part else []
