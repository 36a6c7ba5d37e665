"""Mean and standard deviation of a config's pixels, beside those that timm's weights of its ViT expect."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

from mmengine.config import Config

logger = logging.getLogger("davpt_seg")

NEAR = 0.1  # of 255: what rounding changes


class Named(NamedTuple):
    """A backbone's model_name, and the config's mean and standard deviation."""

    model_name: str
    mean: Optional[list[float]]
    std: Optional[list[float]]


def named_normalisation(cfg: Config) -> Optional[Named]:
    """Return what a config names; None where it has no timm ViT or no data preprocessor."""
    model = cfg.get("model")
    backbone = model.get("backbone") if isinstance(model, Mapping) else None
    model_name = backbone.get("model_name") if isinstance(backbone, Mapping) else None
    preprocessor = _preprocessor(cfg) if isinstance(model_name, str) else None
    if not isinstance(model_name, str) or preprocessor is None:
        return None
    return Named(model_name, preprocessor.get("mean"), preprocessor.get("std"))


def follow_model_name(cfg: Config, before: Optional[Named]) -> None:
    """Set mean and std for a new model_name, where they were those of the old one and were not changed themselves.

    Args:
        cfg: changed in place.
        before: what it named, see :func:`named_normalisation`.
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
    """Describe how a config's mean and std differ from those of timm's weights; empty where they agree.

    A file of weights under a name without tag is compared with nothing: its constants are the file's.
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
        f"mean={mean}, std={std}; a frozen ViT makes worse features of pixels that it does not know. Unless the "
        f"weights are others, set --cfg-options model.data_preprocessor.mean={mean} model.data_preprocessor.std={std}"
    )


def _preprocessor(cfg: Config) -> Optional[dict[str, Any]]:
    found = cfg.model.get("data_preprocessor", cfg.get("data_preprocessor"))
    return found if isinstance(found, dict) else None


def _agrees(named: Named, expected: tuple[tuple[float, ...], ...]) -> bool:
    return all(_near(values, wanted) for values, wanted in zip(named[1:], expected))


def _near(values: Any, wanted: tuple[float, ...]) -> bool:
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, (int, float)) for value in values):
        return False
    values = [*values] * (len(wanted) if len(values) == 1 else 1)
    return len(values) == len(wanted) and all(abs(one - other) <= NEAR for one, other in zip(values, wanted))
