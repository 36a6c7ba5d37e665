"""Finds the model in its wrapper and the guided backbone in the model, for the hooks."""

from __future__ import annotations

from typing import Any

from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from ..core.guidance.guidance import Guidance
from ..errors import InputError
from ..models.prompted_vit import PromptedViTBackbone


def bare_model(runner: Runner) -> Any:
    """Return the model of a runner, out of what DistributedDataParallel or another wraps around it."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def guided_backbone(model: nn.Module, hook: str) -> tuple[PromptedViTBackbone, Guidance]:
    """Find the one PromptedViT with guidance in a model, and that guidance.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = [(m, m.guidance) for m in model.modules() if isinstance(m, PromptedViTBackbone) and m.guidance]
    if len(found) != 1:
        raise InputError(
            f"{hook} needs one backbone dict(type='PromptedViT', guidance=dict(num_classes=..., ...)) in the model, "
            f"found {len(found)}; add guidance to the backbone or take the hook out of custom_hooks"
        )
    return found[0]
