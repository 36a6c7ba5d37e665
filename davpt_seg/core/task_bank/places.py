"""What LoRA and SSF change in the outputs of the trunk's modules, for each image by its own task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Union

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..adapters.base import JoinedHook
from ..adapters.lora import LowRankUpdate
from ..adapters.ssf import ScaleShift
from ..blocks import Trunk
from .per_image import linear, vectors, where_present


class LowRank(NamedTuple):
    """LoRA's update of a linear layer: ``down`` (inputs, rank), and ``up`` (rank, outputs) with its scale."""

    down: Tensor
    up: Tensor


class Scaled(NamedTuple):
    """SSF's scale and shift of a module's channels, each (C,)."""

    scale: Tensor
    shift: Tensor


Place = Union[LowRank, Scaled]


def places_of(trunk: Trunk) -> dict[str, Place]:
    """Return what adapters change in the outputs of a trunk's modules, by the modules' names.

    Raises:
        InputError: an adapter of another kind.
    """
    found: dict[str, Place] = {}
    for name, module in trunk.named_modules():
        for hook in module._forward_hooks.values():
            if isinstance(hook, JoinedHook):
                found[name] = _place(hook.joined)
    return found


def _place(joined: nn.Module) -> Place:
    if isinstance(joined, LowRankUpdate):
        return LowRank(joined.lora_A.T, (joined.lora_B * joined.scale).T)
    if isinstance(joined, ScaleShift):
        return Scaled(joined.scale, joined.shift)
    raise InputError(f"a task bank knows LoRA and SSF, and no adapter of type {type(joined).__name__}")


def changed(parts: Sequence[Union[Place, None]], entering: Tensor, leaving: Tensor) -> Tensor:
    """Return a module's changed output.

    Args:
        parts: what each image's task changes in it, or None.
        entering: the module's input, (B, ...).
        leaving: its output, (B, ..., C).
    """
    low_rank = [part if isinstance(part, LowRank) else None for part in parts]
    scaled = [part if isinstance(part, Scaled) else None for part in parts]
    leaving = where_present(low_rank, _update, entering, leaving)
    return where_present(scaled, _scale, entering, leaving)


def _update(parts: Sequence[LowRank], entering: Tensor, leaving: Tensor) -> Tensor:
    hidden = linear(entering.to(parts[0].down.dtype), [part.down for part in parts])
    return (leaving + linear(hidden, [part.up for part in parts])).to(leaving.dtype)


def _scale(parts: Sequence[Scaled], entering: Tensor, leaving: Tensor) -> Tensor:
    scale, shift = (vectors([part[side] for part in parts], leaving) for side in range(2))
    return torch.addcmul(shift, leaving, scale)  # in one pass over the tokens
