"""Fake torchao with the same rounding, for machines without it."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest
import torch
from torch import Tensor


class PerRow:
    """Granularity of one scale per output channel."""


class Int8Tensor:
    """Weight (outputs, inputs) in int8 that multiplies as a floating-point tensor."""

    def __new__(cls, qdata: Tensor, scale: Tensor, block_size: list[int], dtype: torch.dtype) -> Any:
        return (qdata.to(dtype) * scale).to(dtype)

    @staticmethod
    def from_hp(weight: Tensor, granularity: PerRow) -> types.SimpleNamespace:
        scale = weight.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(weight.dtype).eps) / 127.5
        return types.SimpleNamespace(qdata=(weight * (1 / scale)).round().clamp(-128, 127).to(torch.int8), scale=scale)


@pytest.fixture
def fake_torchao(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace torchao by the fake."""
    package, module = types.ModuleType("torchao"), types.ModuleType("torchao.quantization")
    module.Int8Tensor, module.PerRow, package.quantization = Int8Tensor, PerRow, module
    monkeypatch.setitem(sys.modules, "torchao", package)
    monkeypatch.setitem(sys.modules, "torchao.quantization", module)


@pytest.fixture
def no_torchao(fake_torchao: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make an import of torchao fail."""
    monkeypatch.setitem(sys.modules, "torchao", None)
