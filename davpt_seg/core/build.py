"""Prompts and guidance out of the configs of a ViT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, cast

from timm.layers import Attention
from timm.models.vision_transformer import VisionTransformer

from ..errors import InputError
from .adapters import Adapters, check_adapters
from .arguments import check_arguments
from .guidance import Guidance
from .prompts import Prompts


def block_indices(trunk: VisionTransformer, indices: Sequence[int], what: str) -> tuple[int, ...]:
    """Count blocks from 0 that may be counted from the last.

    Raises:
        ValueError: a block that does not exist, or none at all.
    """
    depth = len(trunk.blocks)
    wrong = [i for i in indices if not -depth <= i < depth]
    if wrong or not len(indices):
        raise InputError(f"{what} {list(indices)}: the ViT has {depth} blocks, 0 to {depth - 1}")
    return tuple(i % depth for i in indices)


def check_configs(
    prompts: Optional[Mapping[str, Any]],
    adapters: Sequence[Mapping[str, Any]],
    guidance: Optional[Mapping[str, Any]],
) -> None:
    """Check the configs of all that joins a trunk, as far as they can be before there is one.

    Raises:
        ValueError: an unknown name, a value of another type or out of range, or two adapters that change one place.
    """
    if prompts is not None:
        _check_prompts(prompts)
    check_adapters(adapters)
    if guidance is None:
        return
    if not isinstance(guidance, Mapping):
        raise InputError(f"guidance must be a dict of arguments, got {guidance!r}; write dict(num_classes=...)")
    Guidance.check(guidance)
    if "num_classes" not in guidance:
        raise InputError("guidance needs num_classes, the number of classes that label maps hold")


def _check_prompts(config: Any) -> None:
    if isinstance(config, (list, tuple)):
        raise InputError(
            f"prompts must be one dict, got {len(config)}: a model has one set of prompts, deep, shallow or gated, and "
            "guidance one mapping of classes to them; choose one, or give num_prompts block by block"
        )
    if not isinstance(config, Mapping):
        raise InputError(f"prompts must be a dict of arguments, got {config!r}; write dict(num_prompts=...)")
    built = ("depth", "embed_dim", "patch_size", "num_heads", "last", "guided")
    check_arguments(Prompts, config, "prompts", given=built)


def build_prompts(
    trunk: VisionTransformer,
    config: Optional[Mapping[str, Any]],
    last: Optional[int] = None,
    guided: Sequence[int] = (),
) -> Optional[Prompts]:
    """Make the prompts of a trunk, up to the ``last`` block that is run, from the arguments of :class:`Prompts`."""
    if config is None:
        return None
    return Prompts(
        depth=len(trunk.blocks),
        embed_dim=trunk.embed_dim,
        patch_size=patch_size(trunk),
        num_heads=cast(Attention, trunk.blocks[0].attn).num_heads,
        last=last,
        guided=guided,
        **config,
    )


def join_extra_keys(prompts: Optional[Prompts], adapters: Adapters, last: int) -> None:
    """Let key-value prompts start at zero where the prompts beside them do.

    Raises:
        ValueError: a block up to the ``last`` has key-value prompts, and no prompts whose gate they could share.
    """
    if prompts is None or prompts.start == "joint" or adapters.key_value(0) is None:
        return
    if prompts.start == "offset":
        adapters.keep_initial()
    elif 0 in prompts.counts[: last + 1]:
        raise InputError(
            "prompts start='gate': key-value prompts share the gates of a block's prompts, so num_prompts must be 1 or "
            f"more in each block, got {prompts.counts}; or set start='offset'"
        )


def guided_blocks(trunk: VisionTransformer, config: Optional[Mapping[str, Any]]) -> tuple[int, ...]:
    """Return the blocks that a config of guidance guides, in order; none without a config."""
    if config is None:
        return ()
    return tuple(sorted(set(block_indices(trunk, config.get("blocks", (-1,)), "guided blocks"))))


def build_guidance(
    trunk: VisionTransformer, prompts: Optional[Prompts], config: Optional[Mapping[str, Any]]
) -> Optional[Guidance]:
    """Make the guidance of a trunk with prompts, or with proxies, from the arguments of :class:`Guidance`, or none."""
    if config is None:
        return None
    blocks = guided_blocks(trunk, config)
    config = {name: value for name, value in config.items() if name != "blocks"}
    counts = {i: prompts.counts[i] if prompts else 0 for i in blocks}
    proxies = config.pop("num_prompts", None)
    if proxies is None:
        config.update(_guided_prompts(counts))
    else:
        config.update(_guided_proxies(counts, proxies, config.get("prompt_side", "prompt")))
    if config.get("metric") == "attention":
        config.setdefault("heads", cast(Attention, trunk.blocks[blocks[0]].attn).num_heads)
    guidance = Guidance(blocks=blocks, embed_dim=trunk.embed_dim, patch_size=patch_size(trunk), **config)
    if guidance.needs_class_token() and not trunk.has_class_token:
        raise InputError(
            "guidance needs a class token, and this ViT has none; set image_token='mean', or cls_weight=0 and "
            "class_means='patch'"
        )
    return guidance


def _guided_prompts(counts: Mapping[int, int]) -> dict[str, Any]:
    if 0 in counts.values() or len(set(counts.values())) > 1:
        raise InputError(
            "guided blocks must have prompts, and all as many, since they share one class-to-prompt mapping; they have "
            f"(block: prompts) {counts}. Where none has any, guidance num_prompts makes proxies in their place"
        )
    return dict(num_prompts=next(iter(counts.values())))


def _guided_proxies(counts: Mapping[int, int], number: Any, prompt_side: str) -> dict[str, Any]:
    if any(counts.values()):
        raise InputError(
            f"guidance num_prompts={number} is for guided blocks without prompts; they have (block: prompts) {counts}"
        )
    if prompt_side != "prompt":
        raise InputError(f"guidance prompt_side={prompt_side!r}: a proxy stands for itself; leave prompt_side out")
    return dict(num_prompts=number, prompt_side="prompt", learned_proxies=True)


def patch_size(trunk: VisionTransformer) -> tuple[int, int]:
    """Return (height, width) of a patch."""
    height, width = trunk.patch_embed.patch_size
    return height, width
