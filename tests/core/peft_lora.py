"""LoRA of Hugging Face's peft as an oracle, injected into the trunk as in versions before 0.4."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import peft
import torch
from torch import Tensor, nn

from davpt_seg.core import PromptedViT


def peft_layers(model: nn.Module) -> list[nn.Module]:
    """Return the layers that peft wrapped, in the trunk's order."""
    return [module for module in model.modules() if hasattr(module, "lora_dropout")]


def inject(
    model: PromptedViT,
    rank: int = 8,
    alpha: Optional[float] = None,
    dropout: float = 0.0,
    targets: Sequence[str] = ("attn.qkv",),
    depth: int = 2,
) -> PromptedViT:
    """Inject peft's LoRA into a model's trunk; the other parameters stay trained or frozen."""
    before = {id(parameter): parameter.requires_grad for parameter in model.parameters()}
    config = peft.LoraConfig(
        r=rank,
        lora_alpha=alpha or rank,
        lora_dropout=dropout,
        target_modules=[f"blocks.{i}.{name}" for i in range(depth) for name in targets],
    )
    peft.inject_adapter_in_model(config, model.trunk)
    for parameter in model.parameters():
        parameter.requires_grad_(before.get(id(parameter), True))
    return model


def updates(model: PromptedViT) -> list[nn.Parameter]:
    """Return A and B of each layer, peft's or ours."""
    return [p for name, p in model.named_parameters() if "lora_" in name]


@torch.no_grad()
def take_updates(model: PromptedViT, other: PromptedViT) -> None:
    """Copy A and B of another model."""
    for mine, theirs in zip(updates(model), updates(other), strict=True):
        mine.copy_(theirs)


def drop_in_training(model: PromptedViT) -> None:
    """Set peft's dropout to training mode although the trunk is in eval mode."""
    for layer in peft_layers(model):
        layer.get_submodule("lora_dropout").train()


def old_state(model: nn.Module) -> dict[str, Any]:
    """Return the state dict that versions before 0.4 wrote of a model with peft's LoRA."""
    return {name.replace(".base_layer.", "."): value.clone() for name, value in model.state_dict().items()}


def gradients(loss: Tensor, parameters: Sequence[nn.Parameter]) -> list[Tensor]:
    return list(torch.autograd.grad(loss, parameters))
