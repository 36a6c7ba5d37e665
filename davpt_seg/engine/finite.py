"""Check for parameters that are no longer finite, which end a training."""

from __future__ import annotations

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size
from mmengine.hooks import EMAHook
from mmengine.runner import Runner
from torch import nn

from ..errors import some
from .divergence import diverged
from .guided import bare_model


def non_finite(model: nn.Module) -> list[str]:
    """Return the names of parameters whose norm is NaN or infinite, and of buffers that hold NaN.

    Finite values whose squares overflow are included, because the next step is likely to give NaN. A buffer may be
    infinite on purpose (a mask of attention). The check costs one device synchronisation.
    """
    parameters = {
        name: value.detach().to(torch.promote_types(value.dtype, torch.float32)).square().sum().isfinite()
        for name, value in model.named_parameters()
    }
    buffers = {name: ~value.isnan().any() for name, value in model.named_buffers() if value.is_floating_point()}
    finite = {**parameters, **buffers}
    if not finite:
        return []
    device = next(iter(finite.values())).device
    flags = torch.stack([flag.to(device) for flag in finite.values()]).tolist()
    return [name for name, flag in zip(finite, flags) if not flag]


def on_any_process(here: bool) -> bool:
    """Return whether a condition holds on any process, with the same answer on all processes."""
    if get_world_size() == 1:
        return here
    flag = torch.tensor(int(here))
    all_reduce(flag, op="max")
    return bool(flag)


def require_finite(runner: Runner, moment: str) -> None:
    """End a training whose parameters, or those of its averaged copy (``EMAHook``), are no longer finite.

    All processes must call it; all of them raise, or none does.

    Args:
        runner: runner whose model is checked.
        moment: next step of the training, for the message: ``before a checkpoint is written``.

    Raises:
        DivergedError: some are not finite; the message names parameters, cause and the last checkpoint.
    """
    names = non_finite(bare_model(runner))
    for hook in runner.hooks:
        if isinstance(hook, EMAHook) and hasattr(hook, "ema_model"):
            names += [f"{name} (averaged)" for name in non_finite(hook.ema_model.module)]
    if not on_any_process(bool(names)):
        return
    if get_world_size() > 1:
        names = list(dict.fromkeys(name for each in all_gather_object(names) for name in each))
    iteration = runner.message_hub.runtime_info.get("iter", runner.iter) + 1  # of the last step
    raise diverged(
        runner,
        f"after iteration {iteration}, {moment}, parameters or buffers are NaN, infinite or close to it: {some(names)}",
        ["a learning rate that is too high, or gradients that overflowed"],
    )
