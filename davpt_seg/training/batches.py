"""Numbers of a config that loaders, loops or normalisation cannot take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mmengine.config import Config
from mmengine.dist import get_world_size
from mmengine.runner import EpochBasedTrainLoop, Runner
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..errors import InputError

#: Keys of a config that hold an integer, and the least.
NUMBERS = {
    **{f"{split}_dataloader.batch_size": 1 for split in ("train", "val", "test")},
    **{f"{split}_dataloader.num_workers": 0 for split in ("train", "val", "test")},
    **{f"train_cfg.{key}": 1 for key in ("max_epochs", "max_iters", "val_interval")},
    "default_hooks.logger.interval": 1,
    "randomness.seed": 0,
}


def check_numbers(cfg: Config) -> None:
    """Refuse a batch size, a number of workers or steps, or a seed that is no integer or too small.

    MMEngine would end a training of 0 epochs without training, and validate at intervals of 0 with an error.

    Raises:
        InputError: such a value, with its key.
    """
    for key, least in NUMBERS.items():
        part, _, name = key.rpartition(".")
        node: Any = cfg
        for each in part.split("."):
            node = node.get(each) if isinstance(node, (Mapping, Config)) else None
        value = node.get(name) if isinstance(node, Mapping) else None
        if value is not None and not (_is_integer(value) and value >= least):
            raise InputError(f"{key} must be an integer of at least {least}, got {value!r}")


def _is_integer(value: Any) -> bool:
    """Return whether a value is an integer, or a float without fraction, as in ``max_iters=2e4``."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())


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
