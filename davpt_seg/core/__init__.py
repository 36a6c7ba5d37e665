"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .features import Features
    from .guidance.guidance import Guidance
    from .guidance.losses import ProxyAnchor, ProxyNCA, Triplet
    from .guidance.mapping import ClassPromptMapping, Sharing
    from .guidance.metric import GuidedRecord, Metric
    from .guidance.targets import Labelling
    from .prompts.prompts import Prompts
    from .vit import PromptedViT

__all__ = [
    "ClassPromptMapping",
    "Features",
    "Guidance",
    "GuidedRecord",
    "Labelling",
    "Metric",
    "PromptedViT",
    "Prompts",
    "ProxyAnchor",
    "ProxyNCA",
    "Sharing",
    "Triplet",
]

__getattr__ = on_first_use(  # guidance.mapping_log needs no torch
    __name__,
    **{
        "features": ("Features",),
        "guidance": ("ClassPromptMapping", "Guidance", "GuidedRecord", "Labelling", "Metric", "Sharing"),
        "guidance.losses": ("ProxyAnchor", "ProxyNCA", "Triplet"),
        "prompts": ("Prompts",),
        "vit": ("PromptedViT",),
    },
)
