"""What the hooks share: finding the guided backbone in a model, and labels in data samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..core.guidance import Guidance
from ..models import PromptedViTBackbone


def guided_backbone(model: nn.Module, hook: str) -> tuple[PromptedViTBackbone, Guidance]:
    """Find the one PromptedViT with guidance in a model, and that guidance.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = [(m, m.guidance) for m in model.modules() if isinstance(m, PromptedViTBackbone) and m.guidance]
    if len(found) != 1:
        raise ValueError(
            f"{hook} needs one backbone dict(type='PromptedViT', guidance=dict(num_classes=..., ...)) in the model, "
            f"found {len(found)}; add guidance to the backbone or take the hook out of custom_hooks"
        )
    return found[0]


def pixel_labels(data_samples: Sequence[Any]) -> Tensor:
    """Stack the label maps of mmseg's data samples, (B, H, W).

    Raises:
        ValueError: a sample without label map.
    """
    for sample in data_samples:
        if "gt_sem_seg" not in sample:
            raise ValueError(
                f"data sample {sample.get('img_path', '')!r} has no gt_sem_seg: metric guidance needs label maps; "
                "does the training pipeline hold LoadAnnotations before PackSegInputs?"
            )
    return torch.stack([sample.gt_sem_seg.data.squeeze(0) for sample in data_samples])
