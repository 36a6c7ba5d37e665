"""Do two models of the same parameters predict the same? Arguments that hold no tensor decide it, too."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .tasks import DETECTION, task_of

PATCHES = 4  # each side of the image that is compared
EXACT, ROUNDED = 1e-4, 0.1  # of the largest value of each output
STORAGE = ("trunk_dtype", "trunk_quantization")


def difference(model: Any, other: Any) -> str:
    """Return how two models with the same parameters differ; nothing where they do not.

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
    samples = _samples(sides) if task_of(other.cfg) == DETECTION else {}
    batches = [
        each.data_preprocessor({"inputs": [image], **copy.deepcopy(samples)}, False)
        for each in (model, other.to(device))
    ]
    if batches[0]["inputs"].shape != batches[1]["inputs"].shape or not torch.allclose(*(b["inputs"] for b in batches)):
        return "its predictions differ by their data_preprocessor"
    ones, twos = (_outputs(each.eval(), batch) for each, batch in zip((model, other), batches))
    shapes = [[tuple(each.shape) for each in outputs] for outputs in (ones, twos)]
    if shapes[0] != shapes[1]:
        return f"it predicts {shapes[1]} values where the config's model predicts {shapes[0]}"
    share = max(map(_share, ones, twos))
    stored = {tuple(each.backbone.arguments[key] for key in STORAGE) for each in (model, other)}
    if share <= (EXACT if len(stored) == 1 else ROUNDED):
        return ""
    return f"its predictions differ by {share:.0%} of the largest: arguments of the backbone, neck or head differ"


def _samples(sides: Sequence[int]) -> dict[str, Any]:
    """Return the data sample of an image of these sides, which detectors with regions need."""
    from mmdet.structures import DetDataSample

    meta = dict(img_shape=tuple(sides), ori_shape=tuple(sides), scale_factor=(1.0, 1.0))
    return dict(data_samples=[DetDataSample(metainfo=meta)])


def _outputs(model: Any, batch: Mapping[str, Any]) -> list[Tensor]:
    with torch.no_grad():
        return [each.float() for each in _tensors(model(batch["inputs"], batch.get("data_samples"), mode="tensor"))]


def _tensors(found: Any) -> Iterator[Tensor]:
    if isinstance(found, Tensor):
        yield found
    elif isinstance(found, (list, tuple)):
        for each in found:
            yield from _tensors(each)


def _share(one: Tensor, two: Tensor) -> float:
    """Return the largest difference of two tensors, as a share of the largest value of the second."""
    largest = float(two.abs().max()) if two.numel() else 0.0
    return float((one - two).abs().max()) / largest if largest else 0.0
