"""Feature pyramid of a plain ViT, for detectors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Union

import torch.nn.functional as F
from mmengine.registry import MODELS
from timm.layers import LayerNorm2d
from torch import Tensor, nn

from ..errors import InputError

SCALES = (0.5, 1, 2, 4)


@MODELS.register_module()
class SimpleFeaturePyramid(nn.Module):
    """Maps of several strides from the last map of a plain ViT (ViTDet, arXiv 2203.16527, Fig. 2a).

    The map is enlarged by transposed convolutions or reduced by max pooling, each scale for itself; a 1 x 1 and a 3 x 3
    convolution with LayerNorm follow, as in Detectron2's release. All maps are computed from the last one, since a
    plain ViT has a single stride. ViTDet's windows in the ViT's attention are not part of it: a frozen ViT keeps its
    global attention, whose cost grows with the square of the number of patches.

    Args:
        in_channels: channels of the ViT's map, or a list of them, whose last counts.
        out_channels: channels of each map.
        scales: sizes relative to the ViT's map, out of 4, 2, 1 and 0.5. With patches of 16 pixels, the default gives
            strides of 4, 8, 16 and 32 pixels; with 14, of 3.5, 7, 14 and 28.
        num_extra: number of further maps, each half as large as the one before (by picking every second position), for
            the largest anchors of a region proposal network.

    Raises:
        InputError: unknown scales, or numbers that are not positive.
    """

    def __init__(
        self,
        in_channels: Union[int, Sequence[int]],
        out_channels: int = 256,
        scales: Sequence[float] = (4, 2, 1, 0.5),
        num_extra: int = 0,
    ) -> None:
        super().__init__()
        width = in_channels if isinstance(in_channels, int) else in_channels[-1]
        if not scales or any(scale not in SCALES for scale in scales):
            raise InputError(f"SimpleFeaturePyramid: scales must be out of {SCALES}, got {tuple(scales)}")
        if width % 4 or width < 4 or out_channels < 1 or num_extra < 0:
            raise InputError(
                "SimpleFeaturePyramid: in_channels must be divisible by 4, out_channels positive, num_extra at least "
                f"0; got {width}, {out_channels} and {num_extra}"
            )
        self.num_extra = num_extra
        self.levels = nn.ModuleList(_level(width, out_channels, scale) for scale in scales)

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Return the maps (B, out_channels, h * scale, w * scale), in the order of the scales, then the extra ones.

        Args:
            maps: the backbone's maps; the last one (B, in_channels, h, w) is used.
        """
        pyramid = [level(maps[-1]) for level in self.levels]
        for _ in range(self.num_extra):
            pyramid.append(F.max_pool2d(pyramid[-1], kernel_size=1, stride=2))
        return tuple(pyramid)


def _level(width: int, out_channels: int, scale: float) -> nn.Sequential:
    """Return the layers from the ViT's map to one of the pyramid."""
    resizing: list[nn.Module] = []
    if scale == 4:
        half = width // 2
        resizing = [nn.ConvTranspose2d(width, half, 2, 2), LayerNorm2d(half), nn.GELU()]
        resizing.append(nn.ConvTranspose2d(half, half // 2, 2, 2))
        width = half // 2
    elif scale == 2:
        resizing = [nn.ConvTranspose2d(width, width // 2, 2, 2)]
        width //= 2
    elif scale == 0.5:
        resizing = [nn.MaxPool2d(2, 2, ceil_mode=True)]
    return nn.Sequential(
        *resizing,
        nn.Conv2d(width, out_channels, 1, bias=False),
        LayerNorm2d(out_channels),
        nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
        LayerNorm2d(out_channels),
    )
