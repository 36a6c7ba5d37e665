"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
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

__getattr__ = on_first_use(  # mapping_log needs no torch
    __name__,
    guidance=("Guidance", "GuidedRecord"),
    losses=("proxy_anchor", "proxy_nca", "triplet"),
    mapping=("ClassPromptMapping",),
    prompts=("Prompts",),
    vit=("Features", "PromptedViT"),
)
