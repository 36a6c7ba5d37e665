"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from .guidance import Guidance, GuidedRecord
from .losses import proxy_anchor
from .mapping import ClassPromptMapping
from .prompts import Prompts
from .vit import Features, PromptedViT

__all__ = [
    "ClassPromptMapping",
    "Prompts",
    "Features",
    "Guidance",
    "GuidedRecord",
    "PromptedViT",
    "proxy_anchor",
]
