"""The pyramid's maps have the strides that they are named by, and its layers are those of ViTDet."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from davpt_seg.errors import InputError
from davpt_seg.models import SimpleFeaturePyramid


def pyramid(**arguments: object) -> SimpleFeaturePyramid:
    torch.manual_seed(0)
    neck = MODELS.build(dict(type="SimpleFeaturePyramid", in_channels=16, out_channels=8, **arguments))
    return neck.double()


def test_maps_have_the_sizes_of_their_scales() -> None:
    maps = pyramid(num_extra=2)((torch.randn(2, 16, 7, 5, dtype=torch.float64),))
    assert [tuple(each.shape) for each in maps] == [
        (2, 8, 28, 20),
        (2, 8, 14, 10),
        (2, 8, 7, 5),
        (2, 8, 4, 3),
        (2, 8, 2, 2),
        (2, 8, 1, 1),
    ]


def norm(x: Tensor, layer: nn.Module) -> Tensor:
    """LayerNorm over the channels of each position."""
    mean, variance = x.mean(1, keepdim=True), x.var(1, keepdim=True, unbiased=False)
    return (x - mean) / (variance + 1e-6).sqrt() * layer.weight[:, None, None] + layer.bias[:, None, None]


def enlarged(x: Tensor, layer: nn.Module) -> Tensor:
    """Transposed convolution with kernel and stride 2: each position becomes a square of 2 x 2, on its own."""
    square = torch.einsum("bchw,cdij->bdhiwj", x, layer.weight)
    return square.flatten(4, 5).flatten(2, 3) + layer.bias[:, None, None]


@pytest.mark.parametrize("scale", [4, 2, 1, 0.5])
def test_a_level_equals_its_formula(scale: float) -> None:
    neck = pyramid(scales=(scale,))
    for parameter in neck.parameters():
        nn.init.normal_(parameter)
    x = torch.randn(2, 16, 4, 6, dtype=torch.float64)
    (found,) = neck((torch.zeros(()), x))
    *resizing, narrow, first, smooth, second = neck.levels[0]
    if scale == 4:
        x = enlarged(F.gelu(norm(enlarged(x, resizing[0]), resizing[1])), resizing[3])
    elif scale == 2:
        x = enlarged(x, resizing[0])
    elif scale == 0.5:
        x = x.unflatten(2, (2, 2)).unflatten(4, (3, 2)).amax((3, 5))
    x = norm(torch.einsum("bchw,dc->bdhw", x, narrow.weight[..., 0, 0]), first)
    expected = norm(F.conv2d(x, smooth.weight, padding=1), second)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "wrong"),
    [
        (dict(in_channels=16, scales=(3,)), r"scales must be out of \(0.5, 1, 2, 4\), got \(3,\)"),
        (dict(in_channels=16, scales=()), "scales must be out of"),
        (dict(in_channels=18), "in_channels must be divisible by 4.*got 18"),
        (dict(in_channels=16, out_channels=0), "out_channels positive"),
        (dict(in_channels=16, num_extra=-1), "num_extra at least 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments: dict, wrong: str) -> None:
    with pytest.raises(InputError, match=wrong):
        SimpleFeaturePyramid(**arguments)


def test_the_last_of_several_maps_counts() -> None:
    assert SimpleFeaturePyramid([8, 16]).levels[2][0].in_channels == 16
