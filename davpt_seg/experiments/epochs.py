"""Length of a schedule in epochs, also of one that counts iterations."""

from __future__ import annotations

from mmengine.config import Config

from ..datasets.pipelines import step_name
from ..errors import InputError

LEAST_WITH_WARM_UP = 5  # epochs
VALIDATIONS = 10


def use_epochs(cfg: Config, epochs: int) -> None:
    """Let a schedule count epochs, stretched to a number of them.

    Each stage keeps its share of the schedule; where that counts epochs, a warm-up in iterations stays as it is.
    Stages that end before the schedule does, as warm-up, have at least one epoch, and are omitted below five epochs.
    The learning rate still changes with each iteration.

    Args:
        cfg: config of the complete experiment, changed in place.
        epochs: number of passes over the training images.

    Raises:
        InputError: the schedule has no length.
    """
    old = cfg.train_cfg
    known = old.get("max_epochs") or old.get("max_iters")
    if not known:
        raise InputError(f"epochs={epochs}: the schedule has neither max_epochs nor max_iters; take another schedule")
    interval = max(1, epochs // VALIDATIONS)
    cfg.train_cfg = dict(type="EpochBasedTrainLoop", max_epochs=epochs, val_interval=interval)
    stages = []
    for stage in cfg.param_scheduler:
        if "max_epochs" in old and not stage.get("by_epoch", True):
            stages.append(stage)  # a warm-up in iterations keeps its length
            continue
        if "milestones" in stage:
            stage.milestones = sorted({_stretched(place, known, epochs) for place in stage.milestones} - {0, epochs})
        begin, end = (
            _stretched(stage.get(key, default), known, epochs) for key, default in (("begin", 0), ("end", known))
        )
        if end > begin:
            stage.update(begin=begin, end=end, by_epoch=True, convert_to_iter_based=True)
            if step_name(stage) == "LinearLR":
                stage.type = "WarmUpLR"  # LinearLR would keep its first rate where an epoch has one iteration
            if "T_max" in stage:
                stage.T_max = end - begin
            stages.append(stage)
    cfg.param_scheduler = stages
    cfg.default_hooks.checkpoint.update(by_epoch=True, interval=interval)
    if "logger" in cfg.default_hooks:
        cfg.default_hooks.logger.log_metric_by_epoch = True
    cfg.log_processor = dict(cfg.get("log_processor") or {}, by_epoch=True)


def use_passes(cfg: Config) -> None:
    """Draw the training images in passes where the schedule counts epochs: ``InfiniteSampler`` never ends one.

    Args:
        cfg: config of the complete experiment, changed in place.
    """
    sampler = cfg.train_dataloader.sampler
    if cfg.train_cfg.get("max_epochs") and step_name(sampler) == "InfiniteSampler":
        cfg.train_dataloader.sampler = dict(sampler, type="DefaultSampler")


def _stretched(place: int, known: int, epochs: int) -> int:
    if place >= known:
        return epochs
    if place <= 0 or epochs < LEAST_WITH_WARM_UP:
        return 0
    return min(max(1, round(place * epochs / known)), epochs - 1)
