"""Every method, one line each: the arguments that make it, and how many numbers it trains in a ViT."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Optional


@dataclass(frozen=True)
class Shape:
    """Of a plain ViT: width D, blocks L, MLP's hidden channels, width of the patch."""

    D: int
    L: int
    hidden: int


@dataclass(frozen=True)
class Method:
    """What makes a method, and what is true of it.

    Args:
        arguments: of PromptedViT.
        count: numbers trained.
        starts_as_identity: the outputs at first are the bare trunk's.
        late: parts of the names of parameters whose gradient is zero at first, for another factor is.
        never: parts of the names of parameters whose gradient is always zero.
        merges: fold() leaves the plain trunk, with nothing beside it but keys and values.
    """

    arguments: dict[str, Any]
    count: Callable[[Shape], int]
    starts_as_identity: bool = False
    late: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    merges: bool = True


def adapter(**config: Any) -> dict[str, Any]:
    return dict(adapters=[config])


def bias(*projections: str) -> dict[str, Any]:
    return dict(tuned=[f"blocks.*.attn.{projection}_bias" for projection in projections])


SEGMENTS = ["1101111101111111", "1111111111111110", "0000000000000001"]  # 14 + 15 + 1 of 16

METHODS: dict[str, Method] = {
    "linear": Method({}, lambda s: 0, True),
    "bias": Method(bias("key", "value"), lambda s: 2 * s.D * s.L, True, never=("key",)),
    "vpt_deep": Method(dict(prompts=dict(num_prompts=4)), lambda s: 4 * s.D * s.L),
    "vpt_shallow": Method(dict(prompts=dict(num_prompts=4, kind="shallow")), lambda s: 4 * s.D, merges=False),
    "gatevpt": Method(dict(prompts=dict(num_prompts=4, kind="gated")), lambda s: 4 * s.D + 2 * s.L - 1, merges=False),
    "e2vpt": Method(
        dict(prompts=dict(num_prompts=4), **adapter(type="key_value_prompts", num_prompts=3)),
        lambda s: (4 + 3) * s.D * s.L,
    ),
    "e2vpt_pruned": Method(
        dict(
            prompts=dict(num_prompts=3, segments=SEGMENTS),
            **adapter(type="key_value_prompts", num_prompts=3),
        ),
        lambda s: (30 * s.D // 16 + 3 * s.D) * s.L,
    ),
    "key_value_prompts": Method(adapter(type="key_value_prompts"), lambda s: 5 * s.D * s.L),
    "lora": Method(adapter(type="lora", rank=2), lambda s: 2 * 4 * s.D * s.L, True, late=("lora_A",)),
    "lora_everywhere": Method(
        adapter(type="lora", rank=3, alpha=6, targets=["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]),
        lambda s: 3 * (4 * s.D + 2 * s.D + 2 * (s.D + s.hidden)) * s.L,
        True,
        late=("lora_A",),
    ),
    "adapter": Method(
        adapter(type="adapter", width=8), lambda s: (2 * 8 * s.D + 8 + s.D) * s.L, True, late=("down",), merges=False
    ),
    "adaptformer": Method(
        adapter(type="adaptformer", width=8),
        lambda s: (2 * 8 * s.D + 8 + s.D) * s.L,
        True,
        late=("down",),
        merges=False,
    ),
    "ssf": Method(adapter(type="ssf"), lambda s: 2 * ((6 * s.D + s.D + s.hidden) * s.L + 2 * s.D), True),
}

# What joins each method: as much as is allowed.
JOINING: dict[str, dict[str, Any]] = {
    "deep prompts": dict(prompts=dict(num_prompts=4)),
    "efficient bias": bias("key", "value"),
    "guidance": dict(guidance=dict(num_classes=5)),
}


def joined(name: str, joining: str) -> Optional[dict[str, Any]]:
    """The arguments of a method and what joins it, or None where that is the method itself or has no sense."""
    arguments = METHODS[name].arguments
    added = JOINING[joining]
    if joining == "guidance":
        shallow = arguments.get("prompts", {}).get("kind", "deep") != "deep"
        count = {} if "prompts" in arguments else dict(num_prompts=3)
        return dict(arguments, guidance=dict(added["guidance"], blocks=[0 if shallow else -1], **count))
    if set(added) & set(arguments):
        return None
    return dict(arguments, **added)


PAIRS = [(name, joining) for name in METHODS for joining in JOINING if joined(name, joining)]
