"""Are the trunk's weights there? Asked before a model is built."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mmengine.config import Config

from ..errors import InputError


def check_weights(cfg: Config) -> None:
    """Refuse a PromptedViT whose weights file is not there.

    Raises:
        InputError: the message says where published files are described, and how to name one's own.
    """
    backbone = cfg.model.get("backbone") or {}
    weights = backbone.get("weights") if backbone.get("type") == "PromptedViT" else None
    path = weights.get("path") if isinstance(weights, Mapping) else weights
    if path and not Path(path).exists():
        raise InputError(
            f"model.backbone.weights: file {path!r} does not exist. docs/weights.md says where to get published ones; "
            "name it by --cfg-options model.backbone.weights=PATH (for trunk=vitb_mocov3 and trunk=vits14 also by the "
            "environment: DAVPT_MOCOV3=PATH, DAVPT_VITS14=PATH)"
        )
