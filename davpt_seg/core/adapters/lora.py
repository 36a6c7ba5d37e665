"""LoRA: low-rank updates of the trunk's linear layers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Optional, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ..annotations import Count, Positive, Probability, Size
from ..arguments import checked
from ..blocks import APART, Trunk
from .base import Adapter, Joined

#: What precedes the name of a layer in blocks with several attentions and FFNs beside each other.
BESIDE = re.compile(r"^(attns|ffns)\.\d+\.")


class LowRankUpdate(Joined):
    """Add ``scale * B A x`` to what a linear layer returns for x.

    A starts uniformly distributed within 1 / sqrt(inputs), as the weight of a linear layer does; B starts at zero.

    Args:
        layer: linear layer that is updated; only its sizes are read.
        rank: rows of A and columns of B.
        scale: factor of the update.
        dropout: probability that a value of x is dropped before A, in training.
    """

    def __init__(self, layer: nn.Linear, rank: int, scale: float, dropout: float) -> None:
        super().__init__()
        self.scale = scale
        self.dropout = nn.Dropout(dropout)
        self.lora_A = nn.Parameter(torch.empty(rank, layer.in_features))
        self.lora_B = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.lora_A, a=math.sqrt(5))

    def forward(self, entering: Tensor, leaving: Tensor) -> Tensor:
        """Add the update of the layer's input (..., inputs) to its output (..., outputs), in the output's type."""
        hidden = F.linear(self.dropout(entering.to(self.lora_A.dtype)), self.lora_A)
        return (leaving + F.linear(hidden, self.lora_B) * self.scale).to(leaving.dtype)

    def weight(self) -> Tensor:
        """Return the update as a weight, (outputs, inputs)."""
        return self.scale * (self.lora_B @ self.lora_A)


class LoRA(Adapter):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of linear layers of every block.

    A layer of weight W returns W x + (alpha / rank) B A x. The fused ``qkv`` gets one A of (rank, D) for all three
    projections and one B of (3 * D, rank): the same number of parameters as query and value with a pair each. Where a
    trunk has ``q_proj``, ``k_proj`` and ``v_proj`` instead, ``attn.qkv`` names these three, with a pair each; and
    ``mlp.fc1`` both layers of a SwiGLU. In a block with several attentions and FFNs beside each other, a target names
    the layer of each.

    Args:
        rank: rank of the updates.
        alpha: the updates are multiplied by alpha / rank; by default rank, so that the factor is 1.
        dropout: probability that a value of a layer's input is dropped before A, in training, whatever the trunk's mode
            is.
        targets: linear layers of a block: ``attn.qkv``, ``attn.proj``, ``mlp.fc1``, ``mlp.fc2``.

    Raises:
        ValueError: a target that is no linear layer of the blocks, none at all, or a rank below 1.
    """

    place = "the linear layers"

    @checked("adapter 'lora'")
    def __init__(
        self,
        trunk: Trunk,
        rank: Size = 8,
        alpha: Optional[Positive] = None,
        dropout: Probability = 0.0,
        targets: Sequence[str] = ("attn.qkv",),
        depth: Optional[Count] = None,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        scale = 1.0 if alpha is None else alpha / rank
        for name in _layer_names(trunk, targets, depth):
            layer = cast(nn.Linear, trunk.get_submodule(name))
            update = self.layers[layer_key(name)] = LowRankUpdate(layer, rank, scale, dropout)
            update.join(layer)

    def switch(self, on: bool) -> None:
        """Switch the updates on or off; without them, a layer returns W x."""
        for update in self._updates():
            update.enabled = on

    @torch.no_grad()
    def merge(self, trunk: Trunk) -> bool:
        """Add the updates to the layers' weights.

        Raises:
            ValueError: an update that is not finite; no weight was changed then.
        """
        layers = {layer_key(name): module for name, module in trunk.named_modules()}
        for name, update in zip(self.layers, self._updates()):
            if not update.weight().isfinite().all():
                raise InputError(f"LoRA's update of {name} holds NaN or infinite values, so it cannot be folded")
        for name, update in zip(self.layers, self._updates()):
            weight = layers[name].get_parameter("weight")  # which other models may share
            layers[name].weight = nn.Parameter(weight + update.weight(), requires_grad=weight.requires_grad)
            update.leave(layers[name])
        return True

    def _updates(self) -> Iterator[LowRankUpdate]:
        for update in self.layers.values():
            assert isinstance(update, LowRankUpdate)
            yield update


def _layer_names(trunk: Trunk, targets: Sequence[str], depth: Optional[int]) -> Iterator[str]:
    """Yield the names of the target layers, block by block and in the trunk's order."""
    known = [name for name, module in trunk.blocks[0].named_modules() if isinstance(module, nn.Linear)]
    found = [_layers_of(target, known) for target in targets]
    if not found or not all(found):
        raise InputError(f"lora targets {list(targets)} must be linear layers of a block, one or more of {known}")
    for i in range(depth or len(trunk.blocks)):
        yield from (f"blocks.{i}.{name}" for name in known if name in set().union(*found))


def _layers_of(target: str, known: Sequence[str]) -> set[str]:
    """Return which of a block's linear layers a target names."""
    names = {target} if target in known else {target, *APART.get(target, ())}
    return {name for name in known if BESIDE.sub("", name) in names or name in names}


def layer_key(name: str) -> str:
    """Return the name of a layer's update in the ModuleDict, whose names hold no dots."""
    return name.replace(".", "_")
