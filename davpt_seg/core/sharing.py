"""One trunk for several models: each has its own modules, and all have the same tensors."""

from __future__ import annotations

import copy
from collections.abc import Set
from typing import Any

from torch import nn

from .adapters.base import JoinedHook
from .blocks import Trunk


def shared_trunk(trunk: Trunk) -> Trunk:
    """Return a ViT of the same tensors as another, frozen, and without what adapters changed in that one.

    A module takes a few kilobytes, so the copy costs milliseconds and next to no memory. Training or folding the copy
    gives it tensors apart from the other's, see :func:`own_tensors`.
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


def own_tensors(trunk: nn.Module, names: Set[str]) -> None:
    """Give a ViT its own copies of some tensors, in place.

    Args:
        trunk: the ViT.
        names: names of parameters and buffers; ``weight`` of an int8 layer names the tensors that it is stored in.
    """
    if not names:
        return
    for prefix, module in trunk.named_modules():
        start = f"{prefix}." if prefix else ""
        for name, parameter in module.named_parameters(recurse=False):
            if start + name in names:
                parameter.data = parameter.data.clone()
        for name, buffer in module.named_buffers(recurse=False):  # which are the very same objects in both
            if not names.isdisjoint({start + name, *(start + name.removesuffix(end) for end in ("_int8", "_scale"))}):
                module._buffers[name] = buffer.clone()
