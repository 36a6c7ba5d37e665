"""Comparison of a config's mean and standard deviation of pixels with those of timm's weights."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

logger = logging.getLogger("davpt_seg")

NEAR = 0.1  # difference that rounding may cause, of 255


class Named(NamedTuple):
    """A backbone's model_name, and the config's mean and standard deviation."""

    model_name: str
    mean: Optional[list[float]]
    std: Optional[list[float]]


def named_normalisation(cfg: Config) -> Optional[Named]:
    """Return a config's model name and normalisation; None without timm ViT or data preprocessor."""
    model = cfg.get("model")
    backbone = model.get("backbone") if isinstance(model, Mapping) else None
    model_name = backbone.get("model_name") if isinstance(backbone, Mapping) else None
    preprocessor = _preprocessor(cfg) if isinstance(model_name, str) else None
    if not isinstance(model_name, str) or preprocessor is None:
        return None
    return Named(model_name, preprocessor.get("mean"), preprocessor.get("std"))


def follow_model_name(cfg: Config, before: Optional[Named]) -> None:
    """Set mean and std for a new model_name, if they were those of the old one and did not change, too.

    Args:
        cfg: config, changed in place.
        before: earlier model name and normalisation, see :func:`named_normalisation`.
    """
    after = named_normalisation(cfg)
    if before is None or after is None or after.model_name == before.model_name or after[1:] != before[1:]:
        return
    from ..core.normalisation import pretrained_normalisation

    old, new = (pretrained_normalisation(named.model_name) for named in (before, after))
    if old is None or new is None or not _agrees(before, old) or _agrees(after, new):
        return
    preprocessor = _preprocessor(cfg)
    assert preprocessor is not None  # it was named
    preprocessor.update(mean=list(new.mean), std=list(new.std))
    logger.info("mean=%s, std=%s are those of %s.", list(new.mean), list(new.std), after.model_name)


def contradiction(cfg: Config) -> str:
    """Describe how a config's mean and std differ from those of timm's weights; empty if they agree.

    A weights file with a model name without tag is not compared, because its constants are unknown.
    """
    named = named_normalisation(cfg)
    if named is None or not ("." in named.model_name or cfg.model.backbone.get("pretrained")):
        return ""
    from ..core.normalisation import pretrained_normalisation

    expected = pretrained_normalisation(named.model_name)
    if expected is None or _agrees(named, expected):
        return ""
    mean, std = (str(list(values)).replace(" ", "") for values in expected)
    return (
        f"model.data_preprocessor has mean={named.mean}, std={named.std}, but {named.model_name} was trained with "
        f"mean={mean}, std={std}; other pixels make a frozen ViT's features worse. Unless the weights are others, set "
        f"--cfg-options model.data_preprocessor.mean={mean} model.data_preprocessor.std={std}"
    )


def _preprocessor(cfg: Config) -> Optional[dict[str, Any]]:
    found = cfg.model.get("data_preprocessor", cfg.get("data_preprocessor"))
    return found if isinstance(found, dict) else None


def _agrees(named: Named, expected: tuple[tuple[float, ...], ...]) -> bool:
    return all(_near(values, others) for values, others in zip(named[1:], expected))


def _near(values: Any, expected: tuple[float, ...]) -> bool:
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, (int, float)) for value in values):
        return False
    values = [*values] * (len(expected) if len(values) == 1 else 1)
    return len(values) == len(expected) and all(abs(one - other) <= NEAR for one, other in zip(values, expected))
