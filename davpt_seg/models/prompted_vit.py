"""The prompted ViT as an OpenMMLab backbone."""

from __future__ import annotations

import logging
from typing import Any

from mmengine.registry import MODELS
from torch import Tensor

from ..core.arguments import check_arguments
from ..core.guidance import GuidedRecord
from ..core.vit import PromptedViT

logger = logging.getLogger("davpt_seg")


@MODELS.register_module(name="PromptedViT")
class PromptedViTBackbone(PromptedViT):
    """:class:`~davpt_seg.core.vit.PromptedViT` that returns maps, as mmseg's necks and heads take them.

    All arguments are the core's. It is no ``BaseModule`` on purpose: MMEngine would call timm's ``init_weights`` on
    the trunk, after its weights were loaded.
    """

    _records: tuple[GuidedRecord, ...] = ()
    _warned = False

    def __init__(self, **arguments: Any) -> None:
        check_arguments(PromptedViT, arguments, "backbone PromptedViT")
        super().__init__(**arguments)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:  # type: ignore[override]
        """Return the maps of ``out_indices``, each (B, D, h, w); in training, keep the guided blocks' records."""
        features = super().forward(images)
        if self._records and features.records and not self._warned:
            self._warned = True
            logger.warning(
                "The backbone has guidance, but nobody takes its records: no metric loss is trained. "
                "Add dict(type='MetricLossHook') to custom_hooks."
            )
        self._records = features.records
        return features.maps

    def take_records(self) -> tuple[GuidedRecord, ...]:
        """Hand out the records of the last training forward pass, once."""
        records, self._records = self._records, ()
        return records
