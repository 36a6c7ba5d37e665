"""Modules for MMEngine's registries."""

import mmengine  # noqa: F401  (first, so that registration finds no half-imported module of ours)

from .prompted_vit import PromptedViTBackbone
from .simple_feature_pyramid import SimpleFeaturePyramid

__all__ = ["PromptedViTBackbone", "SimpleFeaturePyramid"]
