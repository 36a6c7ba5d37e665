"""Guidance: labels of patches, classes of prompts, and metric losses between them."""

from typing import TYPE_CHECKING

from ...lazy import on_first_use

if TYPE_CHECKING:
    from .guidance import Guidance
    from .mapping import ClassPromptMapping, Sharing
    from .metric import GuidedRecord, Metric
    from .targets import Labelling

__all__ = ["ClassPromptMapping", "Guidance", "GuidedRecord", "Labelling", "Metric", "Sharing"]

__getattr__ = on_first_use(  # mapping_log needs no torch
    __name__,
    guidance=("Guidance",),
    mapping=("ClassPromptMapping", "Sharing"),
    metric=("GuidedRecord", "Metric"),
    targets=("Labelling",),
)
