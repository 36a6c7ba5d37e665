"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .features import Features
    from .guidance import Guidance
    from .losses import ProxyAnchor, ProxyNCA, Triplet
    from .mapping import ClassPromptMapping, Sharing
    from .metric import GuidedRecord, Metric
    from .prompts import Prompts
    from .targets import Labelling
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

__getattr__ = on_first_use(  # mapping_log needs no torch
    __name__,
    features=("Features",),
    guidance=("Guidance",),
    losses=("ProxyAnchor", "ProxyNCA", "Triplet"),
    mapping=("ClassPromptMapping", "Sharing"),
    metric=("GuidedRecord", "Metric"),
    prompts=("Prompts",),
    targets=("Labelling",),
    vit=("PromptedViT",),
)
