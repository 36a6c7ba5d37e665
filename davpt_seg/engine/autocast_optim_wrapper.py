"""Optimizer wrapper for mixed precision in bfloat16, on any device."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from mmengine.device import get_device
from mmengine.optim import OptimWrapper
from mmengine.registry import OPTIM_WRAPPERS
from torch import nn

from ..errors import InputError


@OPTIM_WRAPPERS.register_module()
class AutocastOptimWrapper(OptimWrapper):
    """``OptimWrapper`` whose forward pass runs under ``torch.autocast``, without loss scaling.

    MMEngine's ``AmpOptimWrapper`` refuses CPUs; bfloat16 needs no scaler and works there, too.

    Args:
        dtype: only ``bfloat16``; float16 needs ``AmpOptimWrapper``'s loss scaling.
        **kwargs: arguments of ``OptimWrapper``.

    Raises:
        ValueError: another dtype.
    """

    def __init__(self, dtype: str = "bfloat16", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dtype != "bfloat16":
            raise InputError(f"dtype must be 'bfloat16', got {dtype!r}; float16 needs AmpOptimWrapper's loss scaling")
        self.dtype = torch.bfloat16

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Run the forward pass of a training step in mixed precision."""
        with super().optim_context(model), torch.autocast(get_device(), dtype=self.dtype):
            yield
