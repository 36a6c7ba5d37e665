"""Prompts and guidance out of the configs of a ViT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from timm.models.vision_transformer import VisionTransformer

from .arguments import check_arguments
from .guidance import Guidance
from .prompts import Prompts


def block_indices(trunk: VisionTransformer, indices: Sequence[int], what: str) -> tuple[int, ...]:
    """Count blocks from 0 that may be counted from the last.

    Raises:
        ValueError: a block that does not exist, or none at all.
    """
    depth = len(trunk.blocks)
    if isinstance(indices, int):
        raise ValueError(f"{what} must be a list, got {indices}; write [{indices}]")
    wrong = [i for i in indices if not -depth <= i < depth]
    if wrong or not len(indices):
        raise ValueError(f"{what} {list(indices)}: the ViT has {depth} blocks, 0 to {depth - 1}")
    return tuple(i % depth for i in indices)


def build_prompts(trunk: VisionTransformer, config: Optional[Mapping[str, Any]]) -> Optional[Prompts]:
    """Make the prompts of a trunk from the arguments of :class:`Prompts`, or none."""
    if config is None:
        return None
    if isinstance(config, (list, tuple)):
        raise ValueError(
            f"prompts must be one dict, got {len(config)}: a model has one set of prompts, deep, shallow or gated, and "
            "guidance one mapping of classes to them; choose one, or give num_prompts block by block"
        )
    if not isinstance(config, Mapping):
        raise ValueError(f"prompts must be a dict of arguments, got {config!r}; write dict(num_prompts=...)")
    check_arguments(Prompts, config, "prompts", given=("depth", "embed_dim", "patch_size"))
    return Prompts(depth=len(trunk.blocks), embed_dim=trunk.embed_dim, patch_size=patch_size(trunk), **config)


def build_guidance(
    trunk: VisionTransformer, prompts: Optional[Prompts], config: Optional[Mapping[str, Any]]
) -> Optional[Guidance]:
    """Make the guidance of a trunk with prompts, or with proxies, from the arguments of :class:`Guidance`, or none."""
    if config is None:
        return None
    if not isinstance(config, Mapping):
        raise ValueError(f"guidance must be a dict of arguments, got {config!r}; write dict(num_classes=...)")
    Guidance.check(config)
    config = dict(config)
    if "num_classes" not in config:
        raise ValueError("guidance needs num_classes, the number of classes that label maps hold")
    blocks = tuple(sorted(set(block_indices(trunk, config.pop("blocks", (-1,)), "guided blocks"))))
    counts = {i: prompts.counts[i] if prompts else 0 for i in blocks}
    proxies = config.pop("num_prompts", None)
    if proxies is None:
        config.update(_guided_prompts(counts))
    else:
        config.update(_guided_proxies(counts, proxies, config.get("prompt_side", "prompt")))
    guidance = Guidance(blocks=blocks, embed_dim=trunk.embed_dim, patch_size=patch_size(trunk), **config)
    if guidance.needs_class_token() and not trunk.has_class_token:
        raise ValueError(
            "guidance needs a class token, and this ViT has none; set image_token='mean', or cls_weight=0 and "
            "class_means='patch'"
        )
    return guidance


def _guided_prompts(counts: Mapping[int, int]) -> dict[str, Any]:
    if 0 in counts.values() or len(set(counts.values())) > 1:
        raise ValueError(
            "guided blocks must have prompts, and all as many, since they share one class-to-prompt mapping; they have "
            f"(block: prompts) {counts}. Where none has any, guidance num_prompts makes proxies in their place"
        )
    return dict(num_prompts=next(iter(counts.values())))


def _guided_proxies(counts: Mapping[int, int], number: Any, prompt_side: str) -> dict[str, Any]:
    if any(counts.values()):
        raise ValueError(
            f"guidance num_prompts={number} is for guided blocks without prompts; they have (block: prompts) {counts}"
        )
    if not isinstance(number, int) or number < 1:
        raise ValueError(f"guidance num_prompts must be a number of proxies >= 1, got {number!r}")
    if prompt_side != "prompt":
        raise ValueError(f"guidance prompt_side={prompt_side!r}: a proxy stands for itself; leave prompt_side out")
    return dict(num_prompts=number, prompt_side="prompt", learned_proxies=True)


def patch_size(trunk: VisionTransformer) -> tuple[int, int]:
    """Return (height, width) of a patch."""
    height, width = trunk.patch_embed.patch_size
    return height, width
