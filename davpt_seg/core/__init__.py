"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from .guidance import Guidance, GuidedRecord
from .losses import proxy_anchor, proxy_nca, triplet
from .mapping import ClassPromptMapping
from .prompts import DeepPrompts
from .vit import Features, PromptedViT

__all__ = [
    "ClassPromptMapping",
    "DeepPrompts",
    "Features",
    "Guidance",
    "GuidedRecord",
    "PromptedViT",
    "proxy_anchor",
    "proxy_nca",
    "triplet",
]
