"""One trunk for several models: each has modules of its own, and all have the same tensors."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn

from .adapters.base import JoinedHook
from .blocks import Trunk


def shared_trunk(trunk: Trunk) -> Trunk:
    """Return a ViT of the same tensors as another, frozen, and without what adapters changed in that one.

    A module takes a few kilobytes, so the copy costs milliseconds and next to no memory. Training or folding the copy
    gives it tensors apart from the other's, see :func:`own_parameters`.
    """
    memo: dict[int, Any] = {}
    for parameter in trunk.parameters():
        memo[id(parameter)] = nn.Parameter(parameter.detach(), requires_grad=False)
    for buffer in trunk.buffers():
        memo[id(buffer)] = buffer
    copied = copy.deepcopy(trunk, memo)
    for module in copied.modules():
        hooks = module._forward_hooks
        for key in [key for key, hook in hooks.items() if isinstance(hook, JoinedHook)]:
            del hooks[key]
    return copied


def own_parameters(trunk: nn.Module) -> None:
    """Give a ViT its own copies of the parameters that are trained, in place."""
    for parameter in trunk.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.clone()
