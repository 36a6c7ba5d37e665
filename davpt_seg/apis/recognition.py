"""A recognition experiment from its parts: method, trunk, task, schedule, split and hyper-parameters."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from typing import Any, Optional

from mmengine.config import Config

from ..errors import InputError, nearest
from .hyperparameters import TUNED, Hyperparameters, hyperparameters
from .methods import fit_method, fit_sizes
from .parts import merged_parts
from .values import name_of, whole

SPLITS = ("choose", "final")
SCHEDULES = ("davpt_100e", "vpt_100e")  # others have metrics, decay rules and prompt rates of segmentation
VARIABLES = ("dataset", "pipeline", "place", "train_pipeline", "test_pipeline")  # of the data files, used by now
LENGTHS = ("epochs", "warmup_epochs", "image_size")
DEFAULTS = dict(method="davpt", trunk="vitb_augreg_in21k", schedule="davpt_100e", split="choose", head="classifier")


def compose_recognition(
    data: str,
    method: str = DEFAULTS["method"],
    trunk: str = DEFAULTS["trunk"],
    schedule: str = DEFAULTS["schedule"],
    split: str = DEFAULTS["split"],
    head: str = DEFAULTS["head"],
    **values: str,
) -> Config:
    """Build the config of a recognition experiment, for mmpretrain.

    Args:
        data: the task, a file below ``configs/_base_/datasets``: ``vtab/dtd``, ``fgvc/cub``.
        method: a file of ``configs/_base_/methods``, or several joined by ``+``: ``lora+guidance``.
        trunk: ``vitb_augreg_in21k``, ``vitb_in21k``, ``vitb_mae``, ``vitb_mocov3``, ``vits14``.
        schedule: ``davpt_100e``, or ``vpt_100e``, which needs ``lr``.
        split: ``choose`` trains on the training split and validates, and tests, on the validation split; ``final``
            trains on both and tests on the test split.
        head: ``classifier``, a linear one.
        **values: hyper-parameters that take the place of the table's (the columns of ``hyperparameters.csv``), and
            ``epochs``, ``warmup_epochs`` and ``image_size``; as text.

    Raises:
        InputError: an unknown part, a value that the method does not have, mmpretrain is missing.
    """
    if importlib.util.find_spec("mmpretrain") is None:
        raise InputError(f"data={data} is recognition, which needs mmpretrain: pip install mmpretrain")
    if split not in SPLITS:
        raise InputError(f"split={split}: expected one of {', '.join(SPLITS)}")
    if schedule not in SCHEDULES:
        raise InputError(f"schedule={schedule}: recognition wants {' or '.join(SCHEDULES)}")
    if head != DEFAULTS["head"]:
        raise InputError(f"head={head}: recognition has one head, {DEFAULTS['head']}; leave it out")
    cfg = merged_parts(f"{head}_{trunk}", data, schedule, method, runtime="recognition")
    row = _row(method, trunk, data, schedule, values)
    if schedule != DEFAULTS["schedule"] and "batch_size" not in values:
        row = replace(row, batch_size=cfg.train_dataloader.batch_size)
    _use_split(cfg, cfg.pop("splits")[split])
    _use_classes(cfg, cfg.pop("num_classes"))
    _use_method(cfg, method, row)
    _use_optimizer(cfg, row, values)
    _use_lengths(cfg, row, values)
    if "image_size" in values:
        _use_image_size(cfg, whole("image_size", values["image_size"]))
    return _named(cfg, dict(method=method, head=head, trunk=trunk, data=data, schedule=schedule, split=split), values)


def _row(method: str, trunk: str, data: str, schedule: str, values: dict[str, str]) -> Hyperparameters:
    row = hyperparameters(method, trunk, data)
    known = (*row.words(), *LENGTHS)
    unknown = [name for name in values if name not in known]
    if unknown:
        raise InputError(
            f"{unknown[0]}={values[unknown[0]]}: method {method} on {data} has no {unknown[0]}; "
            f"{nearest(unknown[0], known)}. What else is in the config goes after --cfg-options"
        )
    if schedule == "vpt_100e" and "lr" not in values:
        raise InputError("schedule=vpt_100e (SGD) has no learning rate of its own: add lr=..., 0.1 for instance")
    return row.changed({name: text for name, text in values.items() if name not in LENGTHS})


def _named(cfg: Config, parts: dict[str, str], values: dict[str, str]) -> Config:
    """Name the config, and so its work dir, by all that makes it differ from the default."""
    changes = {name: parts[name] for name in ("schedule", "split") if parts[name] != DEFAULTS[name]}
    name = name_of([parts["trunk"], *parts["data"].split("/")], {**changes, **values})
    words = ",".join(f"{key}={value}" for key, value in {**parts, **values}.items())
    content = {key: value for key, value in cfg.to_dict().items() if key not in VARIABLES}
    return Config(content, cfg_text=f"# {words}\n", filename=f"{parts['method']}/{name}.py")


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
        backbone.guidance.update(
            blocks=list(row.blocks),
            patch_weight=row.patch_weight,
            cls_weight=row.cls_weight,
            prompt_scale=row.prompt_scale,
            labels="image",
            class_means="final" if as_released else "image",
            ignore_index=-1,  # 255, label maps' void, is a class of SUN397 and of NABirds
            image_token="mean" if backbone.out_type == "avg_featmap" and not as_released else "class",
        )
    fit_method(backbone, row.prompts, row.guided_prompts)
    fit_sizes(backbone, row.key_value_prompts, row.rank, row.width)
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
        backbone.prompts.setdefault("carry", -1)  # after fit_method, for it guides the block of the word "carried"
    if {"davpt_plus", "davpt_release"} & set(names):
        others = [name for name in backbone.tuned if name not in TUNED["K"] + TUNED["V"]]
        backbone.tuned = [*row.tuned_names(), *(name for name in others if name not in row.tuned_names())]
    if "bias" in names:
        backbone.tuned.append("norm.bias")  # which the classifier reads, while maps are taken before it
    if row.drop_path or "drop_path_rate" in backbone:  # the method's own rate gives way to 0, too
        backbone.update(drop_path_rate=row.drop_path, trunk_mode="train")


def _use_prompts(prompts: dict[str, Any], row: Hyperparameters) -> None:
    """Set the row's norm and, where no joined method brings other ones, initial values.

    Prompts that start at zero keep VPT's: the released ones are so small that few steps turn them completely.
    """
    if row.prompt_norm is not None:
        prompts["norm"] = row.prompt_norm
    joint = prompts.get("start", "joint") == "joint"
    if row.init_divide_by_8 is not None and joint and prompts.get("init", "release") == "release":
        prompts.update(init="release", init_scale=0.125 if row.init_divide_by_8 else 1.0)


def _use_optimizer(cfg: Config, row: Hyperparameters, values: dict[str, str]) -> None:
    wrapper = cfg.optim_wrapper
    decay, head_decay = row.weight_decay, row.head_weight_decay
    # A custom key switches off the rule that nothing of one dimension decays: the head's keys repeat it, and the
    # backbone has one only where nothing of it decays.
    weight: dict[str, float] = {}
    bias = dict(decay_mult=0.0)
    if row.head_lr is not None:
        weight["lr_mult"] = bias["lr_mult"] = row.head_lr / row.lr
    keys: dict[str, Any] = {}
    if decay:
        weight["decay_mult"] = head_decay / decay
    elif head_decay:
        keys["backbone"] = dict(decay_mult=0.0)
    keys.update({"head.fc.weight": weight, "head.fc.bias": bias})
    wrapper.optimizer.update(lr=row.lr, weight_decay=decay or head_decay)
    wrapper.paramwise_cfg.custom_keys = keys
    cfg.train_dataloader.batch_size = row.batch_size
    sampler = cfg.train_dataloader.sampler
    if "batch_size" in sampler:
        sampler.batch_size = row.batch_size
        if row.samples_per_class is not None:
            sampler.classes_per_batch = max(1, row.batch_size // row.samples_per_class)
            if "samples_per_class" in values and row.samples_per_class > row.batch_size:
                raise InputError(
                    f"samples_per_class={row.samples_per_class}: a batch has {row.batch_size} images; raise batch_size"
                )


def _use_lengths(cfg: Config, row: Hyperparameters, values: dict[str, str]) -> None:
    """Set the epochs, and stretch with them what the row counts in epochs, unless a word sets that."""
    known = cfg.train_cfg.max_epochs
    epochs = whole("epochs", values["epochs"]) if "epochs" in values else known
    if {"epochs", "warmup_epochs"} & values.keys() or row.warmup_epochs is not None:
        warmup = (known // 10 if row.warmup_epochs is None else row.warmup_epochs) * epochs // known
        _use_epochs(
            cfg, epochs, whole("warmup_epochs", values["warmup_epochs"], 0) if "warmup_epochs" in values else warmup
        )
    if row.kmeans_from_epoch is not None:
        start = row.kmeans_from_epoch
        for hook in cfg.get("custom_hooks", []):
            if hook.type == "PromptMappingHook":
                hook.from_epoch = start if "kmeans_from_epoch" in values else max(1, start * epochs // known)


def _use_epochs(cfg: Config, epochs: int, warmup: int) -> None:
    """Stretch the schedule, with ten validations as before."""
    if warmup >= epochs:
        raise InputError(f"warmup_epochs={warmup} leaves nothing of epochs={epochs}")
    interval = max(1, epochs // 10)
    cfg.train_cfg.update(max_epochs=epochs, val_interval=interval)
    cfg.default_hooks.checkpoint.interval = interval
    rise, fall = cfg.param_scheduler
    rise.end = warmup
    fall.update(begin=warmup, end=epochs, T_max=epochs - warmup)
    cfg.param_scheduler = [rise, fall] if warmup else [fall]


def _use_image_size(cfg: Config, size: int) -> None:
    patch = int(re.findall(r"patch(\d+)", cfg.model.backbone.model_name)[0])
    if size % patch:
        near = sorted({max(1, size // patch) * patch, (size // patch + 1) * patch})
        raise InputError(
            f"image_size={size}: the ViT's patches have sides of {patch}, so that padding would be classified, too; "
            f"take {' or '.join(map(str, near))}"
        )
    for stage in ("train", "val", "test"):
        loader = cfg[f"{stage}_dataloader"]
        for step in loader.dataset.pipeline if loader else ():
            if step.type == "Resize":
                step.scale = (size, size)
            elif step.type == "ResizeEdge":
                step.scale = round(size * 256 / 224)
            elif step.type in ("RandomCrop", "CenterCrop"):
                step.crop_size = size
