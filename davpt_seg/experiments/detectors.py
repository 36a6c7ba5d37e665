"""Composition of a detector from the files of a head and a trunk: strides and padding follow the patch size."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InputError
from .parts import read_part

PATCH = 16  # pixels of the patches that the detectors' files are written for
PADDED = 2 * PATCH  # pixels of most heads: the stride of the pyramid's map of half the ViT's size


def detector(head: str, trunk: str) -> dict[str, Any]:
    """Return a detector: a head of ``configs/_base_/detectors`` on the trunk of a segmentation model.

    The head's ``optim_wrapper``, such as DINO's gradient clipping, comes with it.

    Args:
        head: name of the head's file.
        trunk: name of a trunk of segmentation, whose ``upernet_TRUNK.py`` has backbone and normalisation.

    Raises:
        InputError: an unknown head or trunk, or a trunk whose name does not hold its patch size.
    """
    part = read_part("head", head)
    whole = read_part("trunk", f"upernet_{trunk}")["model"]
    model, backbone, images = part["model"], whole["backbone"], whole["data_preprocessor"]
    last = max(backbone["out_indices"])
    scale = patch_of(backbone["model_name"]) / PATCH
    padded = model.get("data_preprocessor", {}).get("pad_size_divisor", PADDED)
    masks = "mask_head" in model.get("roi_head", {})
    model = {
        **model,
        "data_preprocessor": dict(
            type="DetDataPreprocessor",
            mean=images["mean"],
            std=images["std"],
            bgr_to_rgb=True,
            pad_mask=masks,
            pad_size_divisor=int(padded * scale),
        ),
        "backbone": {**backbone, "out_indices": (last,)},
        "neck": {**model["neck"], "in_channels": whole["neck"]["in_channels"][-1]},
    }
    _use_strides(model, scale)
    return dict(model=model, optim_wrapper=part.get("optim_wrapper", {}))


def patch_of(name: str) -> int:
    """Return the patch size, in pixels, that a ViT's name holds.

    Raises:
        InputError: it holds none.
    """
    named = re.search(r"patch(\d+)", name)
    if named is None:
        raise InputError(f"the name {name!r} does not hold the ViT's patch size, patchN, from which strides follow")
    return int(named[1])


def _use_strides(model: Mapping[str, Any], scale: float) -> None:
    """Multiply all strides of a detector, in pixels."""
    for node in nodes(model):
        for key in ("strides", "featmap_strides"):
            if isinstance(node.get(key), (list, tuple)):
                node[key] = [_whole(stride * scale) for stride in node[key]]


def _whole(number: float) -> float:
    return int(number) if number == int(number) else number


def nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield all dicts in nested dicts and lists."""
    if isinstance(node, Mapping):
        yield node  # type: ignore[misc]
        for value in node.values():
            yield from nodes(value)
    elif isinstance(node, (list, tuple)):
        for value in node:
            yield from nodes(value)
