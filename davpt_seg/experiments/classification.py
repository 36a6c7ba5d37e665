"""Changes that the words of an image classification experiment make to its parts."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Mapping
from typing import Any, Optional

from mmengine.config import Config

from ..datasets.pipelines import step_name
from ..errors import InputError
from .hyperparameters import PLUS, TUNED, Hyperparameters, hyperparameters
from .methods import fit_values
from .parts import has_key
from .words import CLASSIFICATION, words_of

RUNTIME = "recognition"
VARIABLES = ("dataset", "pipeline", "place", "train_pipeline", "test_pipeline")  # of the data files, no longer needed


def use(cfg: Config, method: str, split: str, values: Hyperparameters) -> None:
    """Fit the parts to each other, and set the values.

    Args:
        cfg: config of the complete experiment, changed in place.
        method: name of the method.
        split: ``choose`` trains on the training split and validates and tests on the validation split; ``final``
            trains on both and tests on the test split.
        values: values by word and column.

    Raises:
        InputError: values contradict each other, or mmpretrain is missing.
    """
    if importlib.util.find_spec("mmpretrain") is None:
        raise InputError("image classification needs mmpretrain: pip install mmpretrain")
    _use_split(cfg, cfg.pop("splits")[split])
    if "num_classes" not in cfg:
        raise InputError("the data part has no num_classes; set it as VTAB's and FGVC's files do: num_classes = 10")
    _use_classes(cfg, cfg.pop("num_classes"))
    _use_method(cfg, method, values)
    _use_optimizer(cfg, values)
    _use_batches(cfg, values)
    _use_lengths(cfg, values)
    if values["image_size"] is not None:
        _use_image_size(cfg, values["image_size"])


def looked_up(cfg: Config, parts: Mapping[str, str], typed: Mapping[str, str]) -> Hyperparameters:
    """Return the default values of an experiment.

    Args:
        cfg: config of the parts.
        parts: parts by word.
        typed: other words.

    Raises:
        InputError: the schedule is not for classification, or requires a learning rate.
    """
    needed = ("train_cfg.max_epochs", "optim_wrapper.paramwise_cfg", "default_hooks.checkpoint", "param_scheduler.1")
    missing = [key for key in needed if not has_key(cfg, key)]
    if missing or len(cfg.param_scheduler) != 2:
        raise InputError(
            f"schedule={parts['schedule']}: classification needs a schedule by epochs, with warm-up and cosine as its "
            f"two param_scheduler ({', '.join(missing) or 'it has more'}); begin with _base_ = 'davpt_100e.py'"
        )
    found = hyperparameters(parts["method"], parts["trunk"], parts["data"])
    if parts["schedule"] == words_of(CLASSIFICATION)["schedule"].default:
        return found
    if "lr" not in typed:
        raise InputError(
            f"schedule={parts['schedule']} sets no learning rate: add lr=..., 0.1 for instance. The rates of "
            "hyperparameters.csv are for davpt_100e"
        )
    return found.put(dict(batch_size=cfg.train_dataloader.batch_size), "the schedule")


def in_use(cfg: Config, row: Hyperparameters) -> Hyperparameters:
    """Return the values of the complete config: stretched with the epochs, and without unused ones.

    Args:
        cfg: config of the complete experiment.
        row: values that it was built with.
    """
    backbone, blocks = cfg.model.backbone, cfg.model.backbone.get("guidance", {}).get("blocks")
    found = [("warmup_epochs", cfg.param_scheduler[0].end if len(cfg.param_scheduler) > 1 else 0)]
    found += [("kmeans_from_epoch", hook.from_epoch) for hook in cfg.get("custom_hooks", []) if "from_epoch" in hook]
    for name, value in found:
        if row[name] not in (None, value):
            row = row.put({name: value}, f"{row.origins[name]}: {row[name]}, stretched with the epochs")
    if row["guided_blocks"] is not None and blocks != row.blocks:
        row = row.put(dict(guided_blocks=",".join(map(str, blocks))), "the block of the persistent prompts")
    if backbone.get("prompts", {}).get("init") != "release":
        row = row.without("init_divide_by_8")
    return row if "batch_size" in cfg.train_dataloader.get("sampler", {}) else row.without("samples_per_class")


def _use_split(cfg: Config, splits: dict[str, Optional[str]]) -> None:
    for stage, split in splits.items():
        if split is None:
            for part in ("dataloader", "evaluator", "cfg"):
                cfg[f"{stage}_{part}"] = None
        else:
            cfg[f"{stage}_dataloader"].dataset.split = split


def _use_classes(cfg: Config, num_classes: int) -> None:
    cfg.model.head.num_classes = num_classes
    cfg.model.data_preprocessor.num_classes = num_classes
    if "guidance" in cfg.model.backbone:
        cfg.model.backbone.guidance.num_classes = num_classes


def _use_method(cfg: Config, method: str, row: Hyperparameters) -> None:
    backbone = cfg.model.backbone
    names = method.split("+")
    as_released = "davpt_release" in names
    if "guidance" in backbone:
        guidance = backbone.guidance
        guidance.blocks = row.blocks or guidance.blocks
        groups: dict[str, dict[str, Any]] = dict(
            mapping=dict(class_means="final" if as_released else "image"),
            labelling=dict(labels="image", ignore_index=-1),  # 255, label maps' void, is a class of SUN397 and NABirds
            metric=dict(image_token="mean" if backbone.out_type == "avg_featmap" and not as_released else "class"),
        )
        for group, own in groups.items():
            guidance[group] = {**guidance.get(group, {}), **own}
    fit_values(backbone, row)
    if "prompts" in backbone:
        _use_prompts(backbone.prompts, row)
    if as_released and backbone.out_type == "avg_featmap":
        if backbone.prompts.get("start", "joint") != "joint":
            raise InputError(
                f"method={method}: on a trunk whose head reads the mean of the patches (MAE), davpt_release averages "
                "the last block's prompts too. They stay in the sequence for that, so the ViT could not start as the "
                "pre-trained one; use davpt+zero_start or davpt_plus+zero_start"
            )
        backbone.pool_prompts = True
        backbone.prompts.setdefault("carry", -1)  # after fit_method, which guides the block of the word "carried"
    if set(PLUS) & set(names):
        others = [name for name in backbone.tuned if name not in TUNED["K"] + TUNED["V"]]
        backbone.tuned = [*row.tuned_names(), *(name for name in others if name not in row.tuned_names())]
    if "bias" in names:
        backbone.tuned.append("norm.bias")  # the classifier reads it, while maps are taken before it
    if row["drop_path"] or "drop_path_rate" in backbone:  # 0 replaces the method's rate, too
        backbone.update(drop_path_rate=row["drop_path"], trunk_mode="train")


def _use_prompts(prompts: dict[str, Any], row: Hyperparameters) -> None:
    """Set the row's norm and, unless a joined method sets them, initial values.

    Zero-start prompts keep VPT's: the released ones are so small that few steps change their direction completely.
    """
    if row["prompt_norm"] is not None:
        prompts["norm"] = row["prompt_norm"]
    joint = prompts.get("start", "joint") == "joint"
    if row["init_divide_by_8"] is not None and joint and prompts.get("init", "release") == "release":
        prompts.update(init="release", init_scale=0.125 if row["init_divide_by_8"] == "True" else 1.0)


def _use_optimizer(cfg: Config, row: Hyperparameters) -> None:
    wrapper = cfg.optim_wrapper
    decay, head_decay = row["weight_decay"], row["head_weight_decay"]
    # A custom key disables the rule that parameters of one dimension do not decay: the head's keys repeat it, and the
    # backbone has one only if none of its parameters decays.
    weight: dict[str, float] = {}
    bias = dict(decay_mult=0.0)
    if row["head_lr"] is not None:
        weight["lr_mult"] = bias["lr_mult"] = row["head_lr"] / row["lr"]
    keys: dict[str, Any] = {}
    if decay:
        weight["decay_mult"] = head_decay / decay
    elif head_decay:
        keys["backbone"] = dict(decay_mult=0.0)
    keys.update({"head.fc.weight": weight, "head.fc.bias": bias})
    wrapper.optimizer.update(lr=row["lr"], weight_decay=decay or head_decay)
    wrapper.paramwise_cfg.custom_keys = keys


def _use_batches(cfg: Config, row: Hyperparameters) -> None:
    size, of_class = row["batch_size"], row["samples_per_class"]
    cfg.train_dataloader.batch_size = size
    sampler = cfg.train_dataloader.sampler
    if "batch_size" in sampler:
        sampler.batch_size = size
        if of_class is not None:
            sampler.classes_per_batch = max(1, size // of_class)
            if row.typed("samples_per_class") and of_class > size:
                raise InputError(f"samples_per_class={of_class}: a batch has {size} images; raise batch_size")
    elif row.typed("samples_per_class"):
        raise InputError(f"samples_per_class={of_class}: this schedule does not compose batches by class; omit it")


def _use_lengths(cfg: Config, row: Hyperparameters) -> None:
    """Set the epochs, and stretch the row's values in epochs accordingly, unless words set them."""
    known = cfg.train_cfg.max_epochs
    epochs, warmup, start = row["epochs"] or known, row["warmup_epochs"], row["kmeans_from_epoch"]
    if row["epochs"] is not None or warmup is not None:
        stretched = (known // 10 if warmup is None else warmup) * epochs // known
        _use_epochs(cfg, epochs, warmup if row.typed("warmup_epochs") else stretched)
    if start is not None:
        for hook in cfg.get("custom_hooks", []):
            if step_name(hook) == "PromptMappingHook":
                hook.from_epoch = start if row.typed("kmeans_from_epoch") else max(1, start * epochs // known)


def _use_epochs(cfg: Config, epochs: int, warmup: int) -> None:
    """Stretch the schedule, with ten validations as before."""
    if warmup >= epochs:
        raise InputError(f"warmup_epochs={warmup} must be less than epochs={epochs}")
    interval = max(1, epochs // 10)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=interval)
    cfg.default_hooks.checkpoint.interval = interval
    rise, fall = cfg.param_scheduler
    rise.end = warmup
    fall.update(begin=warmup, end=epochs, T_max=epochs - warmup)
    cfg.param_scheduler = [rise, fall] if warmup else [fall]


def _use_image_size(cfg: Config, size: int) -> None:
    named = re.search(r"patch(\d+)", cfg.model.backbone.model_name)
    if named is None:
        raise InputError(
            f"image_size={size}: the name {cfg.model.backbone.model_name!r} does not hold the patch size, patchN"
        )
    patch = int(named[1])
    if size % patch:
        near = sorted({max(1, size // patch) * patch, (size // patch + 1) * patch})
        raise InputError(
            f"image_size={size} is no multiple of the ViT's patch size {patch}, so that padding would be classified, "
            f"too; take {' or '.join(map(str, near))}"
        )
    for stage in ("train", "val", "test"):
        loader = cfg[f"{stage}_dataloader"]
        kinds = set()
        for step in loader.dataset.pipeline if loader else ():
            kinds.add(step_name(step))
            if step_name(step) == "Resize":
                step.scale = (size, size)
            elif step_name(step) == "RandomResizedCrop":
                step.scale = size
            elif step_name(step) == "ResizeEdge":
                step.scale = round(size * 256 / 224)
            elif step_name(step) in ("RandomCrop", "CenterCrop"):
                step.crop_size = size
        if loader and not kinds & {"Resize", "RandomResizedCrop", "RandomCrop", "CenterCrop"}:
            raise InputError(
                f"image_size={size}: no step of the {stage} pipeline sets the images' size, as Resize, "
                f"RandomResizedCrop, RandomCrop and CenterCrop do; it has {', '.join(sorted(kinds))}"
            )
