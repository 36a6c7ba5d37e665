"""Modules for MMEngine's registries."""

from .prompted_vit import PromptedViTBackbone

__all__ = ["PromptedViTBackbone"]
