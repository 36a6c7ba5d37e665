"""Resampling and pooling as products equal PyTorch's own, for any two sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.export.products import Products

SIZES = [1, 2, 3, 5, 8, 14, 37]


def maps(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))


@pytest.mark.parametrize("old", SIZES)
def test_cubic_resampling_equals_pytorchs_whether_maps_grow_or_shrink(old: int) -> None:
    for new in [*SIZES, 73]:
        size = (new, new + 2)
        expected = F.interpolate(maps(old, old + 1), size, mode="bicubic", antialias=True)
        with Products():
            found = F.interpolate(maps(old, old + 1), size=size, mode="bicubic", antialias=True)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("old", SIZES)
def test_pooling_equals_pytorchs_also_to_more_cells(old: int) -> None:
    for size in (1, 2, 3, 6, (2, 5), (None, 4)):
        expected = F.adaptive_avg_pool2d(maps(old, old + 1), size)
        with Products():
            found = torch.nn.AdaptiveAvgPool2d(size)(maps(old, old + 1))
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


def test_an_axis_that_keeps_its_size_keeps_its_values() -> None:
    with Products():
        found = F.interpolate(maps(37, 37), size=(37, 37), mode="bicubic", antialias=True)
    torch.testing.assert_close(found, maps(37, 37), rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "arguments",
    [
        dict(size=(5, 7), mode="bilinear", antialias=True),
        dict(size=(5, 7), mode="bicubic"),
        dict(size=(5, 7), mode="bicubic", antialias=True, align_corners=True),
        dict(scale_factor=1.5, mode="bicubic", antialias=True),
        dict(size=5, mode="bicubic", antialias=True),
    ],
)
def test_what_is_another_resampling_stays_pytorchs(arguments: dict) -> None:
    with Products():
        found = F.interpolate(maps(8, 9), **arguments)
    assert torch.equal(found, F.interpolate(maps(8, 9), **arguments))


def test_low_precision_stays_what_it_is() -> None:
    with Products():
        assert F.adaptive_avg_pool2d(maps(8, 8).half(), 3).dtype == torch.float16
