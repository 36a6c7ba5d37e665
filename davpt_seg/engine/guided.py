"""Access to the model inside its wrapper and to the guided backbone inside the model, for hooks."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..core.guidance.guidance import Guidance
from ..errors import InputError
from ..models.prompted_vit import PromptedViTBackbone


def bare_model(runner: Runner) -> Any:
    """Return the model of a runner, without a wrapper such as DistributedDataParallel."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def guided_backbone(model: nn.Module, hook: str) -> tuple[PromptedViTBackbone, Guidance]:
    """Return the one PromptedViT with guidance in a model, and its guidance.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = [(m, m.guidance) for m in model.modules() if isinstance(m, PromptedViTBackbone) and m.guidance]
    if len(found) != 1:
        raise InputError(
            f"{hook} needs one backbone dict(type='PromptedViT', guidance=dict(num_classes=..., ...)) in the model, "
            f"found {len(found)}; add guidance to the backbone or remove the hook from custom_hooks"
        )
    return found[0]
