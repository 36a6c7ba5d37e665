"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from .guidance import Guidance, GuidedRecord
from .losses import proxy_anchor, proxy_nca, triplet
from .mapping import ClassPromptMapping
from .prompts import Prompts
from .vit import Features, PromptedViT

__all__ = [
    "ClassPromptMapping",
    "Features",
    "Guidance",
    "GuidedRecord",
    "PromptedViT",
    "Prompts",
    "proxy_anchor",
    "proxy_nca",
    "triplet",
]
