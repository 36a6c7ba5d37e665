"""Sizes of batches that loaders or normalisation cannot take."""

from __future__ import annotations

from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InputError


def check_loaders(cfg: Config) -> None:
    """Refuse a batch size or a number of workers that is no integer.

    Raises:
        InputError: such a value, with its key.
    """
    for split in ("train", "val", "test"):
        loader = cfg.get(f"{split}_dataloader") or {}
        for key, least in (("batch_size", 1), ("num_workers", 0)):
            value = loader.get(key, least)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < least):
                raise InputError(f"{split}_dataloader.{key} must be an integer of at least {least}, got {value!r}")


def check_smallest_batch(runner: Runner) -> None:
    """Refuse a batch of one image where a batch normalisation follows a pool to one pixel.

    Such a normalisation, as in UPerHead, PSPHead and ASPPHead, has one value a channel then, which has no variance.

    Raises:
        InputError: such a batch, in each iteration or at the end of an epoch.
    """
    name = next((name for name, module in runner.model.named_modules() if _normalises_one_pixel(module)), None)
    loader: Any = runner.train_loop.dataloader
    size, sampler = getattr(loader, "batch_size", None), getattr(loader, "sampler", None)
    if name is None or size is None:
        return
    reason = f"{name} of the model normalises one value a channel then (a pool to 1 x 1 before BatchNorm)"
    if size == 1:
        raise InputError(f"train_dataloader.batch_size is 1, and {reason}. Set it to 2 or more")
    rest = len(sampler) % size if sampler is not None and isinstance(runner.train_loop, EpochBasedTrainLoop) else 0
    if rest == 1 and not loader.drop_last:
        raise InputError(
            f"the last batch of an epoch is one image ({len(sampler)} images, train_dataloader.batch_size={size}), and "  # type: ignore[arg-type]
            f"{reason}. Set train_dataloader.drop_last=True, or another batch_size"
        )


def _normalises_one_pixel(module: nn.Module) -> bool:
    if not isinstance(module, nn.Sequential) or not len(module) or not isinstance(module[0], nn.AdaptiveAvgPool2d):
        return False
    if module[0].output_size not in (1, (1, 1)):
        return False
    norms = [each for each in module.modules() if isinstance(each, _BatchNorm) and each.training]
    return any(get_world_size() == 1 or not isinstance(each, nn.SyncBatchNorm) for each in norms)
