"""Changes that the words of a detection experiment make: classes, masks, rates and length."""

from __future__ import annotations

import importlib.util
import os.path as osp
from collections.abc import Mapping
from typing import Any

from mmengine.config import Config

from ..audit.preflight import leaves, unwrapped
from ..datasets.pipelines import find_step, step_name
from ..errors import InputError
from ..packages import install
from .detectors import nodes
from .hyperparameters import Hyperparameters
from .methods import fit_values
from .parts import has_key
from .segmentation import use_length, use_rates, use_split, use_subset

RUNTIME = "detection"
AP = "coco/bbox_mAP"  # average precision of boxes, the mean over ten overlaps
PACKS = "PackDetInputs"  # the last step of detection's pipelines, and of no other task's


def is_detection(data: Mapping[str, Any]) -> bool:
    """Return whether a data part is one of detection: its training images are packed for detectors."""
    loader = data.get("train_dataloader")
    dataset = loader.get("dataset") if isinstance(loader, Mapping) else None
    while isinstance(dataset, Mapping) and isinstance(dataset.get("dataset"), Mapping):
        dataset = dataset["dataset"]
    pipeline = dataset.get("pipeline") if isinstance(dataset, Mapping) else None
    steps = pipeline if isinstance(pipeline, (list, tuple)) else ()
    return find_step(steps, PACKS) is not None


def use(cfg: Config, method: str, split: str, values: Hyperparameters) -> None:
    """Fit the parts to each other, and set the values.

    Args:
        cfg: config of the complete experiment, changed in place.
        method: name of the method, for messages.
        split: ``choose``, ``final``, or empty for the data set's splits.
        values: values by word, see :func:`~davpt_seg.experiments.segmentation.use`.

    Raises:
        InputError: a data part without ``num_classes``, values that contradict each other, or mmdet is missing.
    """
    if importlib.util.find_spec("mmdet") is None:
        raise InputError(f"detection needs mmdet: {install('mmdet')}")
    if "num_classes" not in cfg:
        raise InputError("the data part has no num_classes; set it as configs/_base_/datasets/coco.py does")
    _use_classes(cfg, cfg.pop("num_classes"))
    _use_masks(cfg, cfg.pop("without_masks", ""))
    _use_hooks(cfg)
    fit_values(cfg.model.backbone, values)
    use_rates(cfg, values)
    use_length(cfg, values)
    if split:
        use_split(cfg, split)
    _use_evaluators(cfg)
    use_subset(cfg, values["train_images"], values["subset_seed"])


def _use_classes(cfg: Config, num_classes: int) -> None:
    for node in nodes({key: part for key, part in cfg.model.items() if key != "backbone"}):
        if "num_classes" in node:
            node["num_classes"] = num_classes
    if "guidance" in cfg.model.backbone:
        cfg.model.backbone.guidance.num_classes = num_classes


def _use_masks(cfg: Config, without: str) -> None:
    """Load masks only where the head or guidance reads them; guidance takes the boxes of instances without a mask.

    Raises:
        InputError: the head reads masks, and the data part has none; ``without`` says why.
    """
    heads = has_key(cfg, "model.roi_head.mask_head")
    if heads and without:
        raise InputError(f"head=mask_rcnn learns masks, but {without}: take head=faster_rcnn, or add the masks")
    guided = "guidance" in cfg.model.backbone
    for split in ("train", "val", "test"):
        for dataset in leaves(cfg[f"{split}_dataloader"].dataset):
            for place, step in enumerate(dataset.pipeline):
                if step_name(step) == "LoadAnnotations" and step.get("with_mask"):
                    step.with_mask = heads or (guided and split == "train")
                    if step.with_mask and not heads:
                        dataset.pipeline = [*dataset.pipeline[:place], dict(type="BoxMasks"), *dataset.pipeline[place:]]


def _use_evaluators(cfg: Config) -> None:
    """Compare boxes and, where a head has them, masks with those of the data set's own file.

    Where a part of that file's images is compared, the annotations are those of the images, which the pipeline hands
    on as ``instances``.
    """
    metrics = ["bbox", "segm"] if has_key(cfg, "model.roi_head.mask_head") else ["bbox"]
    for split in ("val", "test"):
        evaluator = cfg.get(f"{split}_evaluator")
        if isinstance(evaluator, Mapping) and step_name(evaluator) == "CocoMetric":
            whole = cfg[f"{split}_dataloader"].dataset
            dataset = unwrapped(whole)
            ann_file = osp.join(dataset.get("data_root", ""), dataset.ann_file) if dataset is whole else None
            cfg[f"{split}_evaluator"] = {**evaluator, "ann_file": ann_file, "metric": metrics}


def _use_hooks(cfg: Config) -> None:
    """Let a schedule of segmentation draw boxes, decode them in float32, and keep the checkpoint with the best AP."""
    hooks = cfg.default_hooks
    hooks.setdefault("float_heads", dict(type="FloatHeadsHook"))
    if "visualization" in hooks:
        hooks.visualization = dict(type="DetVisualizationHook")
    if "save_best" in hooks.checkpoint:
        hooks.checkpoint.save_best = AP
