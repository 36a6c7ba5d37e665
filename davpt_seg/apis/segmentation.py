"""What the words of a segmentation experiment may change besides its parts: its split and its hyper-parameters."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Optional

from mmengine.config import Config

from ..datasets.preflight import unwrapped
from ..errors import InputError, nearest
from .methods import GUIDED, fit_method, fit_sizes, sizes_of
from .values import number, whole

SPLITS = ("choose", "final")
RATES = ("lr", "head_lr", "weight_decay")
WEIGHTS = ("patch_weight", "cls_weight", "prompt_scale")
SUBSET = ("train_images", "subset_seed")
VALUES = ("split", *SUBSET, *RATES, "iters", "prompts", *GUIDED, "key_value_prompts", "rank", "width")


def words_of(cfg: Config) -> tuple[str, ...]:
    """Name the hyper-parameters that an experiment has and that words may set."""
    iters = ("iters",) if "max_iters" in cfg.train_cfg else ()
    return (*RATES, *iters, *SUBSET, *sorted(sizes_of(cfg.model.backbone)))


def use_values(cfg: Config, method: str, values: Mapping[str, str]) -> None:
    """Set hyper-parameters, and fit the method to its trunk.

    Args:
        cfg: of the whole experiment, changed in place.
        method: its name, for messages.
        values: as text, by name. ``lr`` takes the place of the schedule's rate, whose multipliers stay; with
            ``head_lr`` the head and the neck have that, and ``lr`` is the rate of all that learns in the backbone.

    Raises:
        InputError: one that the experiment does not have, or a number that does not fit.
    """
    known = words_of(cfg)
    for name in values:
        if name not in known:
            raise InputError(
                f"{name}={values[name]}: method {method} with this schedule has no {name}; "
                f"{nearest(name, known)}. What else is in the config goes after --cfg-options"
            )
    backbone = cfg.model.backbone
    fit_method(backbone, _whole(values, "prompts", 0), _whole(values, "guided_prompts"))
    fit_sizes(backbone, *(_whole(values, name) for name in ("key_value_prompts", "rank", "width")))
    for name in WEIGHTS:
        if name in values:
            backbone.guidance[name] = number(name, values[name])
    _use_rates(cfg, {name: number(name, values[name]) for name in RATES if name in values})
    if "iters" in values:
        _use_iterations(cfg, whole("iters", values["iters"]))


def _whole(values: Mapping[str, str], name: str, least: int = 1) -> Optional[int]:
    return whole(name, values[name], least) if name in values else None


def _use_rates(cfg: Config, rates: Mapping[str, float]) -> None:
    wrapper = cfg.optim_wrapper
    if rates.get("lr") == 0:
        raise InputError("lr=0: a number above 0 was expected")
    if "head_lr" in rates and "lr" not in rates:
        raise InputError(f"head_lr={rates['head_lr']}: say the backbone's rate beside it, lr=...")
    if "head_lr" in rates:
        factor = dict(lr_mult=rates["head_lr"] / rates["lr"])
        wrapper.paramwise_cfg = {**wrapper.get("paramwise_cfg", {}), "custom_keys": dict(head=factor, neck=factor)}
    wrapper.optimizer.update({name: rates[name] for name in ("lr", "weight_decay") if name in rates})


def _use_iterations(cfg: Config, iters: int) -> None:
    """Make the schedule that long; warming up takes as many iterations as before, and validation is at the end."""
    old = cfg.train_cfg.max_iters
    cfg.train_cfg.update(max_iters=iters, val_interval=iters)
    cfg.train_cfg.pop("dynamic_intervals", None)
    cfg.default_hooks.checkpoint.interval = min(cfg.default_hooks.checkpoint.interval, iters)
    for scheduler in cfg.param_scheduler:
        if scheduler.end == old:
            scheduler.end = iters
            if "T_max" in scheduler:
                scheduler.T_max = iters - scheduler.begin
        if not scheduler.get("begin", 0) < scheduler.end <= iters:
            raise InputError(f"iters={iters}: the schedule warms up for {scheduler.end} iterations, take more")


def use_subset(cfg: Config, values: Mapping[str, str]) -> None:
    """Train on some of the training images; what is validated and tested on stays. Call it after :func:`use_split`.

    Args:
        cfg: of the whole experiment, changed in place.
        values: as text, by name: ``train_images``, how many are drawn, and ``subset_seed``, of the draw (default 0).

    Raises:
        CompositionError: a number that does not fit, or a seed without a number of images.
    """
    if "train_images" not in values:
        if "subset_seed" in values:
            raise InputError(f"subset_seed={values['subset_seed']}: say train_images=N beside it")
        return
    count, seed = whole("train_images", values["train_images"]), whole("subset_seed", values.get("subset_seed", "0"), 0)
    loader = cfg.train_dataloader
    loader.dataset = dict(type="RandomSubset", num_images=count, seed=seed, dataset=loader.dataset)


def use_split(cfg: Config, split: str) -> None:
    """Choose on a part of the training images, or train on all of them and test once.

    Args:
        cfg: of the whole experiment, changed in place.
        split: ``choose`` trains on a part of the training images, and validates, and tests, on the rest of them
            (:func:`~davpt_seg.datasets.training_part`); ``final`` trains on all, validates nowhere, and tests on
            the config's test set.

    Raises:
        InputError: another.
    """
    if split not in SPLITS:
        raise InputError(f"split={split}: expected one of {', '.join(SPLITS)}")
    if "fp16" in (cfg.get("val_cfg") or {}):
        cfg.test_cfg.fp16 = cfg.val_cfg.fp16
    if split == "final":
        for part in ("dataloader", "evaluator", "cfg"):
            cfg[f"val_{part}"] = None
        return
    training = cfg.train_dataloader.dataset
    seen_as = cfg.val_dataloader.dataset
    held_out = copy.deepcopy(training)
    unwrapped(held_out).pipeline = copy.deepcopy(unwrapped(seen_as).pipeline)
    cfg.train_dataloader.dataset = dict(type="TrainingPart", part="train", dataset=training)
    for stage in ("val", "test"):
        cfg[f"{stage}_dataloader"].dataset = dict(type="TrainingPart", part="val", dataset=copy.deepcopy(held_out))
