"""Adapter's and AdaptFormer's bottlenecks, for each image by its own task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple, Optional

import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ..adapters.adapter import Bottleneck, SequentialBottleneck
from ..adapters.adaptformer import ParallelBottleneck
from .per_image import linear, where_present


class Small(NamedTuple):
    """A bottleneck's tensors.

    Attributes:
        down: weight of the down-projection, transposed, (D, width).
        down_bias: (width,).
        up: weight of the up-projection with its scale, transposed, (width, D).
        up_bias: with the scale, (D,).
        parallel: AdaptFormer's, which reads the FFN's input; otherwise Adapter's, which reads its output.
    """

    down: Tensor
    down_bias: Tensor
    up: Tensor
    up_bias: Tensor
    parallel: bool


def small(bottleneck: nn.Module) -> Small:
    """Return the tensors of what changes an FFN's output.

    Raises:
        InputError: it is neither Adapter's nor AdaptFormer's.
    """
    if not isinstance(bottleneck, (SequentialBottleneck, ParallelBottleneck)):
        raise InputError(
            f"a task bank knows Adapter and AdaptFormer, and no change of an FFN of type {type(bottleneck).__name__}"
        )
    scale = bottleneck.scale if isinstance(bottleneck, ParallelBottleneck) else 1.0
    return _small(bottleneck, scale, isinstance(bottleneck, ParallelBottleneck))


def _small(own: Bottleneck, scale: float, parallel: bool) -> Small:
    up = (own.up.weight * scale).T
    return Small(own.down.weight.T, own.down.bias, up, own.up.bias * scale, parallel)


def changed(parts: Sequence[Optional[Small]], entering: Tensor, update: Tensor) -> Tensor:
    """Return an FFN's changed output.

    Args:
        parts: the bottleneck of each image's task, or None.
        entering: the FFN's normalised input, (B, N, D).
        update: its output, (B, N, D).
    """
    for parallel in (False, True):
        own = [part if part is not None and part.parallel == parallel else None for part in parts]
        update = where_present(own, partial(_add, parallel), entering, update)
    return update


def _add(parallel: bool, parts: Sequence[Small], entering: Tensor, update: Tensor) -> Tensor:
    # both activations keep the zeros that fill up a narrower bottleneck
    read, activation = (entering, F.relu) if parallel else (update, F.gelu)
    hidden = activation(linear(read, [part.down for part in parts], [part.down_bias for part in parts]))
    return update + linear(hidden, [part.up for part in parts], [part.up_bias for part in parts])
