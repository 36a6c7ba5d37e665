"""Values that no trained weights have: NaN, infinite, complex, integer, or all zero."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

# Never zero in a trained ViT, unlike biases, LayerScale and what adapters start from.
NEVER_ZERO = re.compile(r"(?:.*\.)?(?:attn\.(?:qkv|proj)|mlp\.fc\d|patch_embed\.proj)\.weight")
# Floating-point in every network, unlike counters and indices.
FLOATING = re.compile(r"(?:.*\.)?(?:weight|bias|gamma|pos_embed|cls_token|reg_token|running_mean|running_var)")


def faults(tensors: Mapping[str, Tensor], floating: Collection[str] = ()) -> list[str]:
    """List the tensors whose values cannot be a trained network's, each with what is wrong.

    A mask that holds only 0 and infinity is no fault.

    Args:
        tensors: values by name.
        floating: names that must be floating-point, besides those that are so in every network.
    """
    found = [f"{name} {reason}" for name, value in tensors.items() if (reason := _fault(name, value, name in floating))]
    matrices = [value for value in tensors.values() if value.is_floating_point() and value.ndim > 1 and _dense(value)]
    if not found and len(matrices) > 1 and not any(value.any() for value in matrices):
        found.append(f"all {len(matrices)} matrices are zero")
    return found


def _fault(name: str, value: Tensor, floating: bool) -> str:
    if value.is_complex():
        return "is complex"
    if not value.is_floating_point():
        return f"is {str(value.dtype)[6:]}, not floating-point" if floating or FLOATING.fullmatch(name) else ""
    if not _dense(value):
        return ""
    value = _with_isfinite(value.detach())
    finite = torch.isfinite(value)
    if not finite.all():
        nan, count = int(value.isnan().sum()), int((~finite).sum())
        if nan or FLOATING.fullmatch(name) or value[finite].any():
            return f"has {nan} NaN and {count - nan} infinite values of {value.numel():,}"
    elif NEVER_ZERO.fullmatch(name) and value.numel() and not value.any():
        return "is zero everywhere"
    return ""


def not_finite(tensors: Iterable[tuple[str, Tensor]]) -> list[str]:
    """Return the names of floating-point tensors that hold NaN or infinite values."""
    return [
        name
        for name, value in tensors
        if value.is_floating_point() and _dense(value) and not torch.isfinite(_with_isfinite(value.detach())).all()
    ]


def _with_isfinite(value: Tensor) -> Tensor:
    return value.float() if value.element_size() == 1 else value  # float8 has no isfinite


def _dense(value: Tensor) -> bool:
    return value.layout == torch.strided and not value.is_nested


def other_kinds(found: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> list[str]:
    """List the tensors that torch would convert without a word: integers for floating-point numbers and the reverse."""
    return [
        f"{name} is {str(found[name].dtype)[6:]}, the model's is {str(value.dtype)[6:]}"
        for name, value in wanted.items()
        if isinstance(found.get(name), Tensor) and found[name].is_floating_point() != value.is_floating_point()
    ]
