"""Check that a training's epochs end, and that its warm-up does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.dataset import InfiniteSampler
from mmengine.runner import EpochBasedTrainLoop, Runner

from ..errors import InputError

WARM_UPS = ("LinearLR", "ConstantLR")  # of rates that start below the optimizer's


def check_schedule(runner: Runner) -> None:
    """Refuse epochs without an end, and warn of a warm-up that is longer than the training.

    Args:
        runner: runner with a training loop.

    Raises:
        InputError: the training counts epochs, and its sampler never ends one.
    """
    loop: Any = runner.train_loop
    batches, length = getattr(loop.dataloader, "batch_sampler", None), runner.max_iters
    if isinstance(loop, EpochBasedTrainLoop) and isinstance(getattr(batches, "sampler", None), InfiniteSampler):
        raise InputError(
            "train_dataloader.sampler is InfiniteSampler, which never ends an epoch, and train_cfg counts epochs: "
            "--cfg-options train_dataloader.sampler.type=DefaultSampler"
        )
    schedules = runner.cfg.get("param_scheduler") or []
    for number, stage in enumerate([schedules] if isinstance(schedules, Mapping) else schedules):
        end = stage.get("end")
        if stage.get("type") in WARM_UPS and not stage.get("by_epoch", True) and end and end > length:
            share = max(1, length // 10)
            runner.logger.warning(
                f"The warm-up of the learning rate takes {end:,} iterations, and the training has {length:,}: "
                f"the rate stays below {length / end:.0%} of the optimizer's. Train longer (epochs=), or "
                f"shorten it: --cfg-options param_scheduler.{number}.end={share}"
            )
