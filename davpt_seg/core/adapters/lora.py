"""LoRA: low-rank updates of the trunk's linear layers, by the peft library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

from timm.models.vision_transformer import VisionTransformer
from torch import nn

from ...errors import InputError
from ..annotations import Count, Positive, Probability
from ..arguments import checked
from .base import Adapter

MISSING = "adapters 'lora' needs the peft library: pip install 'davpt-seg[lora]' (or: pip install peft)"


class LoRA(Adapter):
    """Low-rank adaptation (LoRA, arXiv 2106.09685) of linear layers of every block, by Hugging Face's peft.

    A layer of weight W puts out W x + (alpha / rank) B A x; B starts at zero and A as Kaiming has it. peft wraps the
    layers inside the trunk. In checkpoints the trunk's own weights keep their names, and what is learned is called
    ``trunk.blocks.0.attn.qkv.lora_A.default.weight`` and so on; ``named_parameters()`` shows peft's names, with
    ``base_layer`` in those of wrapped layers (:func:`timm_name` takes it out).

    The fused ``qkv`` gets one A of (rank, D) for all three and one B of (3 * D, rank): as many numbers as query and
    value with a pair each would have.

    Args:
        rank: of the updates.
        alpha: the updates are multiplied by alpha / rank; by default rank, so that they are by 1.
        dropout: of the layers' inputs on their way to A, in training, whatever the trunk's own mode is.
        targets: the linear layers of a block: ``attn.qkv``, ``attn.proj``, ``mlp.fc1``, ``mlp.fc2``.

    Raises:
        ImportError: peft is missing.
        ValueError: a target that is no linear layer of the blocks, none at all, or a rank below 1.
    """

    place = "the linear layers"

    @checked("adapter 'lora'")
    def __init__(
        self,
        trunk: VisionTransformer,
        rank: Count = 8,
        alpha: Optional[Positive] = None,
        dropout: Probability = 0.0,
        targets: Sequence[str] = ("attn.qkv",),
        depth: Optional[Count] = None,
    ) -> None:
        super().__init__()
        _check_targets(trunk, targets)
        try:
            import peft  # slow, and it brings transformers along: only where LoRA is asked for
        except ImportError as error:
            raise ImportError(MISSING) from error
        config = peft.LoraConfig(
            r=rank,
            lora_alpha=rank if alpha is None else alpha,  # type: ignore[arg-type]  # used as a factor only
            lora_dropout=dropout,
            target_modules=[f"blocks.{i}.{name}" for i in range(depth or len(trunk.blocks)) for name in targets],
        )
        trained = {name: parameter.requires_grad for name, parameter in trunk.named_parameters()}
        peft.inject_adapter_in_model(config, trunk)  # freezes all of the trunk
        for name, parameter in trunk.named_parameters():
            parameter.requires_grad_(trained.get(timm_name(name), True))
        for layer in _wrapped(trunk).values():
            layer._register_state_dict_hook(_hide_wrapping)
            layer._register_load_state_dict_pre_hook(_see_through_wrapping)

    def switch(self, trunk: VisionTransformer, on: bool) -> None:
        """Let the layers put out W x alone, or with the updates."""
        for layer in _wrapped(trunk).values():
            learns = [(parameter, parameter.requires_grad) for parameter in layer.parameters()]
            layer.enable_adapters(on)  # type: ignore[operator]  # and sets what of the updates learns
            for parameter, before in learns:
                parameter.requires_grad_(before)

    def train_in(self, trunk: VisionTransformer, mode: bool) -> None:
        """Let LoRA's own dropout drop in training, though the frozen trunk around it is in eval mode."""
        for layer in _wrapped(trunk).values():
            layer.get_submodule("lora_dropout").train(mode)

    def merge(self, trunk: VisionTransformer) -> bool:
        """Add the updates to the layers' weights, and put the layers back in their places."""
        for name, layer in _wrapped(trunk).items():
            layer.merge(safe_merge=True)  # type: ignore[operator]  # refuses an update that is not finite
            parent, _, child = name.rpartition(".")
            setattr(trunk.get_submodule(parent), child, layer.base_layer)
        return True


def _check_targets(trunk: VisionTransformer, targets: Sequence[str]) -> None:
    known = [name for name, module in trunk.blocks[0].named_modules() if isinstance(module, nn.Linear)]
    wrong = [name for name in targets if name not in known]
    if wrong or not targets:
        raise InputError(f"lora targets {list(targets)} must be linear layers of a block, one or more of {known}")


def _wrapped(trunk: nn.Module) -> dict[str, nn.Module]:
    """Find peft's layers by their names."""
    return {name: module for name, module in trunk.named_modules() if hasattr(module, "lora_A")}


def timm_name(name: str) -> str:
    """Turn the name of a parameter in a wrapped trunk to the one it has in timm."""
    return name.replace(".base_layer.", ".")


def bare_modules(trunk: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name the modules of a trunk as timm does; those that peft put around and beside them are left out."""
    wrapped = _wrapped(trunk)
    for name, module in trunk.named_modules():
        layer = next((each for each in wrapped if name == each or name.startswith(f"{each}.")), None)
        if layer is None:
            yield name, module
        elif name == f"{layer}.base_layer":
            yield layer, module


def _hide_wrapping(layer: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}base_layer.")]:
        state[timm_name(name)] = state.pop(name)


def _see_through_wrapping(state: dict[str, Any], prefix: str, *args: Any) -> None:
    for own in ("weight", "bias"):
        if f"{prefix}{own}" in state:
            state[f"{prefix}base_layer.{own}"] = state.pop(f"{prefix}{own}")
