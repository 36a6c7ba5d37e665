"""Prompts and guidance out of the configs of a ViT."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from ..errors import InputError
from .adapters import Adapters, check_adapters
from .arguments import check_arguments, check_names, check_values
from .blocks import Trunk, family_of, heads_of
from .guidance.guidance import Guidance
from .guidance.mapping import Sharing
from .guidance.metric import Metric
from .guidance.targets import Labelling
from .prompts.prompts import Prompts


def block_indices(trunk: Trunk, indices: Sequence[int], what: str) -> tuple[int, ...]:
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
    if guidance is not None:
        read_guidance(guidance, (1, 1))


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
    trunk: Trunk,
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
        num_heads=heads_of(trunk.blocks[0]),
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


def guided_blocks(trunk: Trunk, config: Optional[Mapping[str, Any]]) -> tuple[int, ...]:
    """Return the blocks that a config of guidance guides, in order; none without a config."""
    if config is None:
        return ()
    return tuple(sorted(set(block_indices(trunk, config.get("blocks", (-1,)), "guided blocks"))))


def read_guidance(config: Any, patch_size: tuple[int, int]) -> dict[str, Any]:
    """Return the arguments of :class:`Guidance` that a config sets, whose names are the current ones.

    Raises:
        InputError: an unknown name, or a value that does not fit its argument.
    """
    config = dict(config)
    check_names(Guidance, config, "guidance", ("embed_dim", "learned_proxies"), further=("num_classes",))
    if "num_classes" not in config:
        raise InputError("guidance needs num_classes, the number of classes that label maps hold")
    sizes = dict(patch_size=patch_size, num_classes=config.pop("num_classes"))
    check_values(Labelling, sizes, "guidance")
    config["labelling"] = Labelling.of(config.get("labelling", {}), **sizes)
    config["mapping"] = Sharing.of(config.get("mapping", {}))
    config["metric"] = Metric.of(config.get("metric", {}))
    check_values(Guidance, config, "guidance")
    return config


def build_guidance(trunk: Trunk, prompts: Optional[Prompts], config: Optional[Mapping[str, Any]]) -> Optional[Guidance]:
    """Make the guidance of a trunk with prompts, or with proxies, from the arguments of :class:`Guidance`, or none."""
    if config is None:
        return None
    config, blocks = dict(config), guided_blocks(trunk, config)
    counts = {i: prompts.counts[i] if prompts else 0 for i in blocks}
    metric = dict(config.get("metric", {}))
    if metric.get("kind") == "attention" and metric.get("heads") is None:
        metric["heads"] = heads_of(trunk.blocks[blocks[0]])
    if "num_prompts" in config:
        _check_proxies(counts, config["num_prompts"], metric)
        config.update(metric=dict(metric, prompt_side="prompt"))
        built: dict[str, Any] = dict(learned_proxies=True)
    else:
        config.update(metric=metric)
        built = dict(num_prompts=_guided_prompts(counts))
    arguments = {**read_guidance(config, patch_size(trunk)), **built, "blocks": blocks}
    _check_sides(trunk, blocks, arguments["metric"])
    guidance = Guidance(embed_dim=trunk.embed_dim, **arguments)
    if guidance.needs_class_token() and trunk.cls_token is None:
        raise InputError(
            "guidance needs a class token, and this ViT has none; set metric=dict(image_token='mean'), or cls_weight=0 "
            "and mapping=dict(class_means='patch')"
        )
    return guidance


def _check_sides(trunk: Trunk, blocks: Sequence[int], metric: Metric) -> None:
    """Refuse to compare sides of different widths: projections of all attentions of a block with raw tokens."""
    raw = ("prompt", "block_input")
    for block in (trunk.blocks[i] for i in blocks):
        width = family_of(block).sizes(block)[0]
        for side in (metric.token_side, metric.cls_side):
            if width != trunk.embed_dim and (metric.prompt_side in raw) != (side in raw):
                raise InputError(
                    f"guidance can't compare prompt_side={metric.prompt_side!r} with {side!r}: the attentions of a "
                    f"block of this ViT project to {width} channels, tokens and prompts have {trunk.embed_dim}: set "
                    "prompt_side='query' (or 'key', 'value'), or token_side='block_input' and cls_side='block_input'"
                )


def _guided_prompts(counts: Mapping[int, int]) -> int:
    if 0 in counts.values() or len(set(counts.values())) > 1:
        raise InputError(
            "guided blocks must have prompts, the same number each, since they share one class-to-prompt mapping; they "
            f"have (block: prompts) {counts}. Where none has any, guidance num_prompts makes proxies in their place"
        )
    return next(iter(counts.values()))


def _check_proxies(counts: Mapping[int, int], number: int, metric: Mapping[str, Any]) -> None:
    if any(counts.values()):
        raise InputError(
            f"guidance num_prompts={number} is for guided blocks without prompts; they have (block: prompts) {counts}"
        )
    side = metric.get("prompt_side", "prompt")
    if side != "prompt":
        raise InputError(f"guidance metric prompt_side={side!r}: a proxy represents itself; omit prompt_side")


def patch_size(trunk: Trunk) -> tuple[int, int]:
    """Return (height, width) of a patch."""
    height, width = trunk.patch_embed.patch_size
    return height, width
