"""The mean and standard deviation of pixels that timm's weights of a ViT were trained with."""

from __future__ import annotations

from typing import NamedTuple, Optional

from timm.models import get_pretrained_cfg, is_model


class Normalisation(NamedTuple):
    """Mean and standard deviation of red, green and blue, of pixels from 0 to 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


def pretrained_normalisation(model_name: str) -> Optional[Normalisation]:
    """Return what timm's weights of a name expect, its default weights' without a tag; None where timm has neither.

    Args:
        model_name: timm's, with or without a tag: ``vit_base_patch16_dinov3.lvd1689m``.
    """
    if not is_model(model_name):
        return None
    try:
        weights = get_pretrained_cfg(model_name, allow_unregistered=False)
    except RuntimeError:  # a tag that timm does not know
        return None
    if weights is None or not weights.has_weights:
        return None
    mean, std = ((255 * value for value in values) for values in (weights.mean, weights.std))
    return Normalisation(tuple(round(value, 4) for value in mean), tuple(round(value, 4) for value in std))
