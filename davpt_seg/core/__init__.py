"""The method in pure PyTorch and timm; imports nothing of OpenMMLab."""

from typing import TYPE_CHECKING

from ..lazy import on_first_use

if TYPE_CHECKING:
    from .adapter_folder import AdapterSet, load_adapter, save_adapter
    from .features import Features
    from .guidance.guidance import Guidance
    from .guidance.losses import ProxyAnchor, ProxyNCA, Triplet
    from .guidance.mapping import ClassPromptMapping, Sharing
    from .guidance.metric import GuidedRecord, Metric
    from .guidance.targets import Labelling
    from .prompts.prompts import Prompts
    from .task_bank import TaskBank, TaskOutput
    from .vit import PromptedViT

__all__ = [
    "AdapterSet",
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
    "TaskBank",
    "TaskOutput",
    "Triplet",
    "load_adapter",
    "save_adapter",
]

__getattr__ = on_first_use(  # guidance.mapping_log needs no torch
    __name__,
    **{
        "adapter_folder": ("AdapterSet", "load_adapter", "save_adapter"),
        "features": ("Features",),
        "guidance": ("ClassPromptMapping", "Guidance", "GuidedRecord", "Labelling", "Metric", "Sharing"),
        "guidance.losses": ("ProxyAnchor", "ProxyNCA", "Triplet"),
        "prompts": ("Prompts",),
        "task_bank": ("TaskBank", "TaskOutput"),
        "vit": ("PromptedViT",),
    },
)
