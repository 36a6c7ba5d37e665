"""Modules for MMEngine's registries."""

import mmengine  # noqa: F401  (first, so that registration finds no half-imported module of ours)

from .prompted_vit import PromptedViTBackbone

__all__ = ["PromptedViTBackbone"]
