"""A training, built part by part: what cannot be built is refused by the name of its part."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import Runner
from torch.utils.data import IterableDataset

from ..compat import frozen_parameters_counted
from ..datasets.named_files import name_files
from ..engine.keyed_random import same_random_state_afterwards
from ..engine.segmentation_report import SegmentationReport
from ..errors import InputError
from ..models import PromptedViTBackbone
from .batches import check_smallest_batch
from .check_schedule import check_schedule
from .classes import check_built_classes, check_classes
from .refusals import advise_check, step
from .runner import CommandRunner
from .start import check_start
from .summary import experiment

IOU_METRICS = ("mIoU", "mDice", "mFscore")


def build_training(cfg: Config, name: str, splits: Sequence[str] = ("val",)) -> Runner:
    """Build all parts of a training, so that ``Runner.train`` finds them built.

    Args:
        cfg: the training's config.
        name: the config's name, for messages.
        splits: evaluations to build, if the config has them.

    Raises:
        InputError: a part that cannot be built; the message names the part, and where it failed.
    """
    if cfg.get("train_dataloader") is None:
        raise InputError(f"{name} has no train_dataloader: there is nothing to train on")
    check_classes(cfg, ("train",))
    with step("the model, the hooks or the log cannot be built (model, default_hooks, custom_hooks, visualizer)"):
        runner = CommandRunner.from_cfg(cfg)
    with step("the training data loader cannot be built (train_dataloader, train_cfg)"):
        _build_named_data(runner)
        runner.train_loop  # noqa: B018  (a property that builds)
    check_built_classes(runner, "train")
    check_smallest_batch(runner)
    _check_intervals(runner)
    kind = (cfg.optim_wrapper.get("optimizer") or {}).get("type")
    with step(f"the optimizer {kind} cannot be built (optim_wrapper)"), frozen_parameters_counted():
        runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)
        runner.scale_lr(runner.optim_wrapper, runner.auto_scale_lr)
        runner.auto_scale_lr = None  # or Runner.train would scale the rate again
    with step("the weights of the ViT cannot be read (model.backbone.weights)"):
        read_vit(runner)
    check_start(runner)
    check_schedule(runner)
    if runner.param_schedulers is not None:
        with step("the schedule of the rate cannot be built (param_scheduler)"):
            runner.param_schedulers = runner.build_param_scheduler(runner.param_schedulers)
    for split in splits:
        build_evaluation(runner, split, name)
    runner.logger.info(experiment(runner, name))
    return runner


def _build_named_data(runner: Runner) -> None:
    """Build the training's data loader, so that its errors name files; a loop may start the workers when built."""
    if isinstance(runner._train_dataloader, dict):
        differs = runner._randomness_cfg.get("diff_rank_seed", False)
        runner._train_dataloader = runner.build_dataloader(runner._train_dataloader, runner.seed, differs)
    name_files(getattr(runner._train_dataloader, "dataset", None))


def build_evaluation(runner: Runner, split: str, name: str) -> None:
    """Build the data and the metric of validation or test, and read one item; nothing for a config without them.

    Args:
        runner: the runner of the training or test.
        split: ``val`` or ``test``.
        name: the config's name, for messages.

    Raises:
        InputError: a part that cannot be built or read; another number of classes than the heads have, or an unknown
            score of mmseg's ``IoUMetric``, which would be met after the first evaluation or never.
    """
    if getattr(runner, f"_{split}_loop") is None:
        return
    what = f"the {split} data or its metric cannot be built or read ({split}_dataloader, {split}_evaluator)"
    with step(what), advise_check(name), same_random_state_afterwards():
        loop = getattr(runner, f"{split}_loop")
        dataset = getattr(getattr(loop, "dataloader", None), "dataset", None)  # a custom loop may have several
        name_files(dataset)
        if dataset is not None and not isinstance(dataset, IterableDataset):
            item = dataset[0]
            for metric in getattr(loop.evaluator, "metrics", ()):
                _check_metric(metric, item, split)
    check_built_classes(runner, split)
    for metric in getattr(getattr(loop, "evaluator", None), "metrics", ()):
        if _several_machines() and getattr(metric, "collect_device", None) == "cpu":  # by files of the current folder
            metric.collect_device = "gpu"  # from process to process, by gloo too
        names = getattr(metric, "metrics", ())
        unknown = [each for each in ([names] if isinstance(names, str) else names) if each not in IOU_METRICS]
        if type(metric).__name__ == "IoUMetric" and unknown:
            raise InputError(
                f"{split}_evaluator: iou_metrics {unknown} is not known; IoUMetric has {', '.join(IOU_METRICS)}"
            )


def _check_metric(metric: Any, item: Any, split: str) -> None:
    sample = item.get("data_samples") if isinstance(item, Mapping) else None
    if isinstance(sample, list):  # of test-time augmentation
        sample = sample[0]
    if isinstance(metric, SegmentationReport) and sample is not None and "gt_sem_seg" not in sample:
        raise InputError(
            "--json and --confusion-matrix compare predictions with masks, and the test's pipeline loads none: add "
            "dict(type='LoadLabelMap') to test_dataloader.dataset.pipeline, or omit the options"
        )
    if getattr(metric, "format_only", False) and getattr(metric, "output_dir", "") is None:
        raise InputError(f"{split}_evaluator.format_only=True writes predictions: set {split}_evaluator.output_dir=DIR")


def read_vit(runner: Runner) -> None:
    """Read the weights of the model's ViTs, which ``Runner.train`` would do later; it skips what was read.

    Raises:
        InputError: weights that do not fit.
    """
    for module in runner.model.modules():
        if isinstance(module, PromptedViTBackbone):
            module.init_weights()


def _several_machines() -> bool:
    """Return whether torchrun started processes on other machines too, which may see other files."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", get_world_size())) < get_world_size()


def _check_intervals(runner: Runner) -> None:
    """Refuse text for a number of steps, which MMEngine would compare with numbers after the first ones."""
    for part in (*runner.hooks, runner.train_loop):
        for key in ("interval", "val_interval"):
            if isinstance(value := getattr(part, key, None), str):
                raise InputError(f"{key} of {type(part).__name__} must be a number, got {value!r}")
