"""SSF: a learned scale and shift after each operation of the trunk."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Optional

import torch
from timm.layers import LayerScale
from torch import Tensor, nn

from ...errors import InputError
from ..annotations import Count, Range
from ..arguments import checked
from ..blocks import Trunk
from .base import Adapter, Joined


class ScaleShift(Joined):
    """Scale and shift the channels of what one module returns."""

    def __init__(self, channels: int, std: float) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(channels) + std * torch.randn(channels))
        self.shift = nn.Parameter(std * torch.randn(channels))

    def forward(self, entering: Tensor, leaving: Tensor) -> Tensor:
        """Scale and shift the last dimension of a module's output, in its type."""
        return leaving * self.scale.to(leaving.dtype) + self.shift.to(leaving.dtype)

    @torch.no_grad()
    def merge_into(self, module: nn.Module) -> None:
        """Put scale and shift into the weight and bias of a linear, convolution or norm layer that put this out."""
        weight: Tensor = module.get_parameter("weight")
        scale = self.scale.view(-1, *[1] * (weight.dim() - 1))
        module.weight = nn.Parameter(weight * scale, requires_grad=weight.requires_grad)  # others may share the tensor
        bias = self.shift.clone() if module.bias is None else module.get_parameter("bias") * self.scale + self.shift
        module.bias = nn.Parameter(bias, requires_grad=weight.requires_grad)


class SSF(Adapter):
    """Scale and shift deep features (SSF, arXiv 2210.08823): two learned numbers a channel after every operation.

    They come after the patch embedding, every linear layer and every layer norm of the trunk, and at inference they
    merge into these for free (:meth:`merge`). A block of a plain ViT has 22 * D parameters, patch embedding and last
    norm have 4 * D: 0.206 M for ViT-B. The last norm learns only where an output passes it. Biases that a trunk keeps
    beside its linear layers (EVA's) join after the shift.

    Args:
        std: standard deviation of the first scales, around 1, and of the first shifts, around 0. 0 starts as the
            identity; the released code has 0.02.

    Raises:
        ValueError: a trunk with other operations, RMS norms, say, of which a shift could not become a part.
    """

    place = "the linear layers"

    @checked("adapter 'ssf'")
    def __init__(
        self,
        trunk: Trunk,
        std: Annotated[float, Range(least=0, most=1)] = 0.0,
        depth: Optional[Count] = None,
    ) -> None:
        super().__init__()
        self.depth = depth
        self.places = nn.ModuleDict()
        for name, module in _places(trunk, depth):
            place = self.places[name.replace(".", "_")] = ScaleShift(_channels(module), std)
            place.join(module)

    def switch(self, on: bool) -> None:
        """Let the trunk's modules put out what they did, or what was learned."""
        for place in self._all():
            place.enabled = on

    def merge(self, trunk: Trunk) -> bool:
        """Put all scales and shifts into the trunk's weights and biases; a bias that a layer lacks is made."""
        for place, (_, module) in zip(self._all(), list(_places(trunk, self.depth))):
            place.merge_into(_last_layer(module))
            place.leave(module)
        return True

    def _all(self) -> Iterator[ScaleShift]:
        for place in self.places.values():
            assert isinstance(place, ScaleShift)
            yield place


def _places(trunk: Trunk, depth: Optional[int]) -> Iterator[tuple[str, nn.Module]]:
    """Name the trunk's operations, of the first ``depth`` blocks; of the patch embedding, only its output."""
    skipped = {
        "patch_embed",
        "rope",
        "rel_pos_bias",
        *(f"blocks.{i}" for i in range(depth or len(trunk.blocks), len(trunk.blocks))),
    }
    # tokens, layer scales and biases that belong to none of the trunk's operations
    holders = {id(trunk), *map(id, trunk.blocks), *(id(getattr(b, "attn", b)) for b in trunk.blocks)}
    yield "patch_embed", trunk.patch_embed
    for name, module in trunk.named_modules():
        outer = {name, name.partition(".")[0], ".".join(name.split(".")[:2])}
        if id(module) in holders or outer & skipped or isinstance(module, LayerScale):
            continue
        if isinstance(module, (nn.Linear, nn.LayerNorm)):
            yield name, module
        elif next(module.parameters(recurse=False), None) is not None:
            raise InputError(
                f"adapter 'ssf' scales and shifts linear layers and layer norms; the ViT's {name!r} is a "
                f"{type(module).__name__}"
            )


def _last_layer(module: nn.Module) -> nn.Module:
    if isinstance(module, (nn.Linear, nn.LayerNorm)):
        return module
    norm: nn.Module = module.get_submodule("norm")  # timm's PatchEmbed: a convolution, and often no norm
    return module.get_submodule("proj") if isinstance(norm, nn.Identity) else norm


def _channels(module: nn.Module) -> int:
    return len(_last_layer(module).get_parameter("weight"))
