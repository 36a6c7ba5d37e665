"""A model's config, checked before MMEngine's Runner builds it: types, the ViT, and heads that read its maps."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from ..errors import InputError
from ..quiet import without_notes
from ..trust.trunk_source import is_prompted_vit
from .model import WithoutValues
from .refusals import step
from .registered import check_registered, find

HEADS = ("decode_head", "auxiliary_head")


#: Keys whose value is a dict, or a list of them; text there is a type in the wrong place.
DICTS = (
    *("model.backbone", "model.neck", *(f"model.{name}" for name in HEADS), "model.head", "model.data_preprocessor"),
    *("optim_wrapper", "optim_wrapper.optimizer", "param_scheduler", "train_cfg", "val_cfg", "test_cfg"),
    *(f"{split}_dataloader.dataset" for split in ("train", "val", "test")),
)


def check_dicts(cfg: Config) -> None:
    """Refuse text or a number where a config has a dict, such as ``model.backbone=vit``.

    Raises:
        InputError: such a value, with its key.
    """
    for key in DICTS:
        node: Any = cfg
        for name in key.split("."):
            node = node.get(name) if isinstance(node, (Mapping, Config)) else None
        if isinstance(node, (str, int, float)):
            raise InputError(f"{key} must be a dict, got {node!r}; its kind is set by {key}.type")


def check_model(cfg: Config) -> None:
    """Refuse a config whose types are unknown, whose ViT cannot be built, or whose heads do not fit the ViT.

    The ViT is built on the meta device, where it takes no memory and little time.

    Args:
        cfg: config of a training or test.

    Raises:
        InputError: the message names the key.
    """
    check_registered(cfg)
    model = cfg.model.get("module", cfg.model)  # inside of a test-time augmentation
    backbone = model.get("backbone") or {}
    if not isinstance(backbone, Mapping) or not is_prompted_vit(backbone):
        return
    vit = _on_meta(backbone)
    if model.get("neck") is None and getattr(vit, "out_type", None) == "featmap":
        for name in HEADS:
            heads = model.get(name)
            several = isinstance(heads, (list, tuple))
            for i, head in enumerate(heads if several else [heads]):
                if isinstance(head, Mapping) and _reads_maps(head):
                    _check_head(head, f"model.{name}.{i}" if several else f"model.{name}", vit)


def _on_meta(backbone: Mapping[str, Any]) -> Any:
    try:
        with step("the ViT cannot be built"), torch.device("meta"), WithoutValues(), without_notes(logging.WARNING):
            return MODELS.build(dict(backbone))
    except InputError as error:
        raise InputError(f"model.backbone: {error}") from error


def _reads_maps(head: Mapping[str, Any]) -> bool:
    """Return whether a head is one of mmseg's that choose maps by ``in_index``, each with its ``in_channels``."""
    from mmseg.models.decode_heads.decode_head import BaseDecodeHead

    kind: Any = find(head["type"], MODELS) if isinstance(head.get("type"), str) else head.get("type")
    return isinstance(kind, type) and issubclass(kind, BaseDecodeHead)


def _check_head(head: Mapping[str, Any], key: str, vit: nn.Module) -> None:
    blocks, width = list(vit.out_indices), vit.embed_dim  # type: ignore[arg-type]
    maps = len(blocks)
    for index in _integers(head.get("in_index", -1)):
        if not -maps <= index < maps:
            raise InputError(
                f"{key}.in_index is {index}, but the ViT returns {maps} maps (model.backbone.out_indices={blocks}), 0 "
                f"to {maps - 1}: change one of the two"
            )
    for channels in _integers(head.get("in_channels")):
        if channels != width:
            given = head["in_channels"]
            right = [width] * len(given) if isinstance(given, (list, tuple)) else width
            raise InputError(
                f"{key}.in_channels is {given}, but the maps of the ViT have {width} channels: --cfg-options "
                f"{key}.in_channels={str(right).replace(' ', '')}"
            )


def _integers(value: Any) -> Sequence[int]:
    values = value if isinstance(value, (list, tuple)) else [value]
    return [each for each in values if isinstance(each, int)]
