"""A config's model, built outside a training, and how many parameters it trains."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS, init_default_scope
from torch import nn
from torch.overrides import TorchFunctionMode

from ..compat import replace_sync_bn
from ..errors import InputError


class ParameterCounts(NamedTuple):
    """Numbers of parameters: trained in the backbone, trained in neck and heads, and of the complete model."""

    backbone_trained: int
    heads_trained: int
    whole: int

    @property
    def trained(self) -> int:
        """All that is trained."""
        return self.backbone_trained + self.heads_trained


def build_model(cfg: Config, backbone: Optional[Mapping[str, Any]] = None) -> BaseModel:
    """Build a config's model for one process; cfg stays as it is.

    Args:
        cfg: config with a model.
        backbone: arguments of its backbone that take precedence; a model whose trunk is shared is not copied.

    Raises:
        InputError: the config has no model.
    """
    if not isinstance(cfg.get("model"), dict):
        what = cfg.filename or "the config"
        raise InputError(
            f"{what} has no model, which must be a dict with a type: is it an experiment, or a part of one?"
        )
    init_default_scope(cfg.get("default_scope") or "mmseg")
    model = copy.deepcopy(cfg.model)
    if cfg.get("data_preprocessor"):  # where MMEngine's Runner looks, too
        model.setdefault("data_preprocessor", cfg.data_preprocessor)
    replace_sync_bn(model)
    if backbone:
        model["backbone"] = {**model["backbone"], **backbone}
    built = MODELS.build(model)
    built.cfg = cfg  # where mmseg's and mmpretrain's functions for inference look for it
    return built


def build_on_meta(cfg: Config, backbone: Optional[Mapping[str, Any]] = None) -> nn.Module:
    """Build a config's model on the meta device, where parameters have shapes but no values.

    Args:
        cfg: see :func:`build_model`.
        backbone: see there.
    """
    with torch.device("meta"), WithoutValues():
        return build_model(cfg, backbone)


class WithoutValues(TorchFunctionMode):
    """Skips two steps of ``trunc_normal_`` for tensors on the meta device, which have no values to change.

    PyTorch runs both in Python there, which takes a third of the time to build a ViT.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in (torch.Tensor.clamp_, torch.Tensor.erfinv_) and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the parameters of a segmentor or classifier with a ``backbone``."""

    def trained(module: nn.Module) -> int:
        return sum(p.numel() for p in module.parameters() if p.requires_grad)

    backbone = trained(model.get_submodule("backbone"))
    return ParameterCounts(backbone, trained(model) - backbone, sum(p.numel() for p in model.parameters()))
