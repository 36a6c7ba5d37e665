"""Changes that the words of a segmentation experiment make: classes, crop, rates, length, split, subset."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Optional

from mmengine.config import Config

from ..audit.preflight import leaves, unwrapped
from ..datasets.pipelines import step_name
from ..errors import InputError
from .epochs import use_epochs, use_passes
from .hyperparameters import Hyperparameters
from .methods import fit_values

RUNTIME = "default"
# Parts beside the backbone, by pieces of their parameters' names: decode_head, roi_head ..., but not the prompts'
# head_gates; and those of a DETR.
HEADS = ("_head", "neck")
OF_DETR = ("encoder", "decoder", "memory_trans", "level_embed", "query_embedding", "dn_query_generator")
#: Data sets of data sets, of which MMEngine takes no subset.
UNDIVIDED = ("ConcatDataset", "RepeatDataset", "ClassBalancedDataset")


def use(cfg: Config, method: str, split: str, values: Hyperparameters) -> None:
    """Fit the parts to each other, and set the values.

    Args:
        cfg: config of the complete experiment, changed in place.
        method: name of the method, for messages.
        split: ``choose``, ``final``, or empty for the data set's splits.
        values: values by word. ``lr`` replaces the schedule's rate, whose multipliers stay; with ``head_lr``, the rate
            of the head and the neck, ``lr`` is the rate of all trained parameters of the backbone.

    Raises:
        InputError: a data part without ``CheckLabels``, or values that contradict each other.
    """
    _fit_classes(cfg)
    _fit_crop(cfg)
    fit_values(cfg.model.backbone, values)
    use_rates(cfg, values)
    use_length(cfg, values)
    if split:
        use_split(cfg, split)
    use_subset(cfg, values["train_images"], values["subset_seed"])


def _steps(cfg: Config, kind: str) -> list[Any]:
    """Return the pipeline steps of a kind, from everywhere in the config."""
    pipelines = [cfg.get(key, []) for key in ("train_pipeline", "test_pipeline")]
    sets = [cfg[f"{split}_dataloader"].dataset for split in ("train", "val", "test")]
    pipelines += [leaf.pipeline for dataset in sets for leaf in leaves(dataset)]
    return [step for pipeline in pipelines for step in pipeline if step_name(step) == kind]


def _fit_classes(cfg: Config) -> None:
    checks = _steps(cfg, "CheckLabels")
    if not checks:
        raise InputError("the data part has no CheckLabels step in its pipelines, whose num_classes is needed; add one")
    num_classes = checks[0].num_classes
    auxiliary = cfg.model.get("auxiliary_head") or []
    for part in [cfg.model.decode_head, *(auxiliary if isinstance(auxiliary, list) else [auxiliary])]:
        part.num_classes = num_classes
    if "guidance" in cfg.model.backbone:
        cfg.model.backbone.guidance.num_classes = num_classes


def _fit_crop(cfg: Config) -> None:
    size = cfg.model.data_preprocessor.get("size")
    if size is not None:
        for step in _steps(cfg, "RandomCrop"):
            step.crop_size = size


def use_rates(cfg: Config, values: Hyperparameters) -> None:
    """Set the rates of backbone, and head and neck, and the weight decay.

    Args:
        cfg: config of the complete experiment, changed in place.
        values: values of ``lr``, ``head_lr`` and ``weight_decay``; None keeps the schedule's.

    Raises:
        InputError: a rate of the head without one of the backbone.
    """
    wrapper, rate = cfg.optim_wrapper, values["head_lr"]
    if rate is not None:
        if values["lr"] is None:
            raise InputError(f"head_lr={rate}: add lr=..., the rate of the backbone")
        parts = HEADS + OF_DETR * ("decoder" in cfg.model)
        keys = {part: dict(lr_mult=rate / values["lr"]) for part in parts}
        wrapper.paramwise_cfg = {**wrapper.get("paramwise_cfg", {}), "custom_keys": keys}
    wrapper.optimizer.update({key: values[key] for key in ("lr", "weight_decay") if values[key] is not None})


def use_length(cfg: Config, values: Hyperparameters) -> None:
    """Set the length in iterations or epochs; None for both keeps the schedule's.

    Raises:
        InputError: both are set, or the schedule cannot have this length.
    """
    if values["iters"] is not None and values["epochs"] is not None:
        raise InputError(f"iters={values['iters']} and epochs={values['epochs']} both set the length; omit one of them")
    stages = cfg.get("param_scheduler") or []
    cfg.param_scheduler = [stages] if isinstance(stages, Mapping) else list(stages)
    if values["iters"] is not None:
        use_iterations(cfg, values["iters"])
    if values["epochs"] is not None:
        use_epochs(cfg, values["epochs"])
    use_passes(cfg)


def use_iterations(cfg: Config, iters: int) -> None:
    """Set the length of the schedule; validation is at the end.

    Warm-up keeps its number of iterations, and milestones keep their share of the schedule.

    Raises:
        InputError: fewer iterations than warm-up has.
    """
    old = cfg.train_cfg.max_iters
    cfg.train_cfg.update(max_iters=iters, val_interval=iters)
    cfg.train_cfg.pop("dynamic_intervals", None)
    cfg.default_hooks.checkpoint.interval = min(cfg.default_hooks.checkpoint.interval, iters)
    for scheduler in cfg.param_scheduler:
        begin, end = scheduler.get("begin", 0), scheduler.get("end", old)
        if "milestones" in scheduler:
            places = {max(1, round(place * iters / old)) for place in scheduler.milestones}
            scheduler.milestones = sorted(place for place in places if place < iters)
        if end == old:
            end = iters
            scheduler.update({"end": end} if "end" in scheduler else {})
            if "T_max" in scheduler:
                scheduler.T_max = end - begin
        if not begin < end <= iters:
            raise InputError(f"iters={iters}: the schedule has {end} iterations of warm-up, take more")


def use_subset(cfg: Config, count: Optional[int], seed: Optional[int]) -> None:
    """Train on some of the training images; validation and test stay. Call it after :func:`use_split`.

    Args:
        cfg: config of the complete experiment, changed in place.
        count: number of images to draw; None for all.
        seed: seed of the draw; 0 by default.

    Raises:
        InputError: a seed without a number of images, or a data set that joins or repeats others.
    """
    if count is not None:
        _require_divisible(cfg, f"train_images={count}")
        loader = cfg.train_dataloader
        loader.dataset = dict(type="RandomSubset", num_images=count, seed=seed or 0, dataset=loader.dataset)
    elif seed is not None:
        raise InputError(f"subset_seed={seed}: add train_images=N")


def _require_divisible(cfg: Config, word: str) -> None:
    node = cfg.train_dataloader.dataset
    while isinstance(node, Mapping):
        if step_name(node) in UNDIVIDED:
            raise InputError(
                f"{word} takes a part of the training images, and the data part's are a {step_name(node)}, of which "
                "MMEngine takes none; name one data set there, or omit the word"
            )
        node = node.get("dataset")


def use_split(cfg: Config, split: str) -> None:
    """Choose on a part of the training images, or train on all of them and test once.

    Args:
        cfg: config of the complete experiment, changed in place.
        split: ``choose`` trains on a part of the training images, and validates and tests on the rest of them
            (:func:`~davpt_seg.datasets.training_part`); ``final`` trains on all, does not validate, and tests on the
            config's test set.

    Raises:
        InputError: ``choose`` of a training set that joins or repeats others.
    """
    if "fp16" in (cfg.get("val_cfg") or {}):
        cfg.test_cfg.fp16 = cfg.val_cfg.fp16
    if split == "final":
        for part in ("dataloader", "evaluator", "cfg"):
            cfg[f"val_{part}"] = None
        return
    _require_divisible(cfg, "split=choose")
    training = cfg.train_dataloader.dataset
    seen_as = cfg.val_dataloader.dataset
    held_out = copy.deepcopy(training)
    unwrapped(held_out).pipeline = copy.deepcopy(unwrapped(seen_as).pipeline)
    cfg.train_dataloader.dataset = dict(type="TrainingPart", part="train", dataset=training)
    for stage in ("val", "test"):
        cfg[f"{stage}_dataloader"].dataset = dict(type="TrainingPart", part="val", dataset=copy.deepcopy(held_out))
