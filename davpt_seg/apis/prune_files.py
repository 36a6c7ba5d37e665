"""What pruning writes: the config of the pruned experiment, and the picture of what was removed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ..core.adapters.pruning import staying
from ..visualization.pruning import pruning_picture
from .prune_check import Shares
from .prune_importance import Measured


def pruned_config(cfg: Config, kept: Mapping[str, Any]) -> Config:
    """Copy a config with what is left of its prompts; blocks without prompts stay so.

    Args:
        cfg: of the whole prompts.
        kept: ``num_prompts`` and ``segments``, of :func:`~davpt_seg.core.adapters.pruning.pruned`.
    """
    copied = copy.deepcopy(cfg)
    prompts = copied.model.backbone.prompts
    before, count = prompts.num_prompts, kept["num_prompts"]
    prompts.num_prompts = count if isinstance(before, int) else [count if number else 0 for number in before]
    prompts.segments = kept["segments"]
    return copied


def draw_pruned(measured: Measured, shares: Shares, picture: Path) -> None:
    """Draw importance, and what is removed of it."""
    prompts, segments = (values.numpy() for values in measured.importance)
    pruning_picture(prompts, segments, staying(measured.importance, *shares).numpy()).savefig(picture)
