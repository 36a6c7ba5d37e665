"""Half precision, which kernels do not have on all devices."""

from __future__ import annotations

from torch import Tensor


def single(values: Tensor) -> Tensor:
    """Return half-precision values in float32: not all kernels have all half types."""
    return values.float() if values.element_size() < 4 else values
