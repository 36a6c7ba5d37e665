"""Do two models of the same parameters predict the same? Arguments that hold no tensor decide it, too."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

PATCHES = 4  # each side of the image that is compared
EXACT, ROUNDED = 1e-4, 0.1  # of the largest logit
STORAGE = ("trunk_dtype", "trunk_quantization")


def difference(model: Any, other: Any) -> str:
    """Return how two segmentors or classifiers with the same parameters differ; nothing where they do not.

    Both are put into eval mode. They predict one small image of noise, so that normalisation, blocks, heads and all
    other arguments are compared by what they do.

    Args:
        model: on any device.
        other: with a ``PromptedViT`` as its backbone; moved to the device of the first.
    """
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    sides = [PATCHES * side for side in other.backbone.patch_size]
    image = torch.randint(0, 256, (3, *sides), generator=generator, dtype=torch.uint8)
    pixels = [each.data_preprocessor({"inputs": [image]}, False)["inputs"] for each in (model, other.to(device))]
    if pixels[0].shape != pixels[1].shape or not torch.allclose(*pixels):
        return "its predictions differ by their data_preprocessor"
    one, two = _outputs(model.eval(), pixels[0]), _outputs(other.eval(), pixels[1])
    if one.shape != two.shape:
        return f"it predicts {tuple(two.shape)} values where the config's model predicts {tuple(one.shape)}"
    largest = float(two.abs().max())
    share = float((one - two).abs().max()) / largest if largest else 0.0
    stored = {tuple(each.backbone.arguments[key] for key in STORAGE) for each in (model, other)}
    if share <= (EXACT if len(stored) == 1 else ROUNDED):
        return ""
    return f"its predictions differ by {share:.0%} of the largest: arguments of the backbone, neck or head differ"


def _outputs(model: Any, pixels: Tensor) -> Tensor:
    with torch.no_grad():
        found = model(pixels, mode="tensor")
    return (found[-1] if isinstance(found, (list, tuple)) else found).float()
