"""Resampling and pooling as products with matrices, for programs that leave PyTorch.

Both are linear along each axis, so an output axis is a matrix of weights times the input axis. The weights follow from
two sizes, which may be symbolic. ONNX has no pooling to a given number of cells, and few of its runtimes resample by
antialiased cubics; all of them multiply matrices.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

#: An ``int`` or a ``torch.SymInt``, whose operators type checkers do not know.
Size = Any
#: Weights (new, old) along an axis of an old and a new size, on a device.
Weights = Callable[[Size, Size, torch.device], Tensor]
A = -0.5  # of Keys' cubic (IEEE TASSP 29, 1981), which PyTorch takes where it antialiases


def bicubic_weights(old: Size, new: Size, device: torch.device) -> Tensor:
    """Return the weights (new, old) of antialiased bicubic resampling along an axis, as ``F.interpolate`` has them.

    Where an axis shrinks, the cubic is stretched. Cells beyond the ends do not count: each row sums to 1.
    """
    scale = old / new
    stretch = torch.full((), scale, dtype=torch.float32, device=device).clamp(min=1)
    centres = (torch.arange(new, device=device, dtype=torch.float32) + 0.5) * scale
    cells = torch.arange(old, device=device, dtype=torch.float32) + 0.5
    far = ((cells - centres[:, None]) / stretch).abs().clamp(max=2)  # the cubic is zero from there on
    near = ((A + 2) * far - (A + 3)) * far * far + 1
    weights = torch.where(far < 1, near, ((far - 5) * far + 8) * far * A - 4 * A)
    return weights / weights.sum(dim=1, keepdim=True)


def pooling_weights(old: Size, new: Size, device: torch.device) -> Tensor:
    """Return the weights (new, old) of adaptive average pooling along an axis.

    Output cell i is the mean of the cells from floor(i * old / new) on and before ceil((i + 1) * old / new).
    """
    cells = torch.arange(old, device=device)
    place = torch.arange(new, device=device)[:, None]
    start = torch.div(place * old, new, rounding_mode="floor")
    end = torch.div((place + 1) * old + new - 1, new, rounding_mode="floor")
    inside = ((cells >= start) & (cells < end)).to(torch.float32)
    return inside / inside.sum(dim=1, keepdim=True)


def resized(maps: Tensor, size: Sequence[Size], weights: Weights) -> Tensor:
    """Resize maps (..., H, W) to a size (h, w) in float32, with the weights of each axis."""
    down, across = (weights(old, new, maps.device) for old, new in zip(maps.shape[-2:], size))
    return (down @ (maps.float() @ across.T)).to(maps.dtype)


class Products(TorchFunctionMode):
    """A context in which ``F.interpolate`` and ``F.adaptive_avg_pool2d`` are products, where these are the same."""

    def __torch_function__(
        self, function: Any, types: Any, args: Sequence[Any] = (), kwargs: Optional[Mapping[str, Any]] = None
    ) -> Any:
        """Call a function of PyTorch, or what is the same."""
        kwargs = kwargs or {}
        if function is F.interpolate and _is_cubic(*args, **kwargs):
            return resized(args[0], kwargs["size"], bicubic_weights)
        if function is F.adaptive_avg_pool2d:
            return _pooled(*args, **kwargs)
        return function(*args, **kwargs)


def _is_cubic(maps: Tensor, size: Any = None, mode: str = "nearest", antialias: bool = False, **kwargs: Any) -> bool:
    """Return whether arguments of ``F.interpolate`` mean what :func:`bicubic_weights` computes."""
    return mode == "bicubic" and antialias and isinstance(size, (tuple, list)) and not any(kwargs.values())


def _pooled(maps: Tensor, output_size: Union[int, Sequence[Optional[int]]]) -> Tensor:
    wanted = [output_size] * 2 if isinstance(output_size, int) else output_size
    size = [side if new is None else new for side, new in zip(maps.shape[-2:], wanted)]
    return resized(maps, size, pooling_weights)
