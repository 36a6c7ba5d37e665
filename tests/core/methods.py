"""Every method with its arguments and properties, and joins of two methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any


@dataclass(frozen=True)
class Shape:
    """Shape of a plain ViT: width D, blocks L, hidden channels of the MLP, heads."""

    D: int
    L: int
    hidden: int
    heads: int


@dataclass(frozen=True)
class Method:
    """Arguments and properties of a method.

    Args:
        arguments: arguments of PromptedViT.
        count: number of trained parameters.
        takes: parts that it changes and a model has once: two methods with the same part do not join.
        starts_as_identity: whether the initial outputs are those of the bare trunk.
        late: parts of the names of parameters whose gradient is zero at first, because another factor is.
        never: parts of the names of parameters whose gradient is always zero.
        merges: whether fold() gives the plain trunk, with only keys and values in addition.
    """

    arguments: dict[str, Any]
    count: Callable[[Shape], int]
    takes: tuple[str, ...] = ()
    starts_as_identity: bool = False
    late: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    merges: bool = True


PROMPTS, KEYS, LINEAR, FFN = "prompts", "the keys and values", "the linear layers", "the FFN's output"
WHY = {
    PROMPTS: "prompts must be one dict, got 2: a model has one set of prompts, .* choose one",
    KEYS: "both change the keys and values, and which comes first is not defined: choose one",
    LINEAR: "both change the linear layers, and which comes first is not defined: choose one",
    FFN: "both change the FFN's output, and which comes first is not defined: choose one",
}


def prompts(num_prompts: int, **further: Any) -> dict[str, Any]:
    return dict(prompts=dict(num_prompts=num_prompts, **further))


def adapter(**config: Any) -> dict[str, Any]:
    return dict(adapters=[config])


def bias(*projections: str) -> dict[str, Any]:
    return dict(tuned=[f"blocks.*.attn.{projection}_bias" for projection in projections])


PAIRS_OF_HEADS = adapter(type="key_value_prompts", num_prompts=3)
SEGMENTS = ["1101111101111111", "1111111111111110", "0000000000000001"]  # 14 + 15 + 1 of 16
GATED_VALUES = ("prompts.values.0", "prompts.values.1")  # of two blocks
EVERYWHERE = ["attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2"]

METHODS: dict[str, Method] = {
    "linear": Method({}, lambda s: 0, (), True),
    "bias": Method(bias("key", "value"), lambda s: 2 * s.D * s.L, (), True, never=("_key",)),
    "vpt_deep": Method(prompts(4), lambda s: 4 * s.D * s.L, (PROMPTS,)),
    "vpt_shallow": Method(prompts(4, kind="shallow"), lambda s: 4 * s.D, (PROMPTS,), merges=False),
    "gatevpt": Method(prompts(4, kind="gated"), lambda s: 4 * s.D + 2 * s.L - 1, (PROMPTS,), merges=False),
    "carried_first": Method(prompts(4, carry=0), lambda s: 4 * s.D * s.L, (PROMPTS,), merges=False),
    "carried_last": Method(prompts(4, carry=-1), lambda s: 4 * s.D * s.L, (PROMPTS,), merges=False),
    "e2vpt": Method({**prompts(4), **PAIRS_OF_HEADS}, lambda s: (4 + 3) * s.D * s.L, (PROMPTS, KEYS)),
    "zero_offset": Method(prompts(4, start="offset"), lambda s: 4 * s.D * s.L, (PROMPTS,), True),
    "zero_gate": Method(
        prompts(4, start="gate"), lambda s: (4 * s.D + s.heads) * s.L, (PROMPTS,), True, late=GATED_VALUES
    ),
    "e2vpt_zero_offset": Method(
        {**prompts(4, start="offset"), **PAIRS_OF_HEADS}, lambda s: (4 + 3) * s.D * s.L, (PROMPTS, KEYS), True
    ),
    "e2vpt_zero_gate": Method(
        {**prompts(4, start="gate"), **PAIRS_OF_HEADS},
        lambda s: ((4 + 3) * s.D + s.heads) * s.L,
        (PROMPTS, KEYS),
        True,
        late=(*GATED_VALUES, "key_value_prompts"),
    ),
    "e2vpt_pruned": Method(
        {**prompts(3, segments=SEGMENTS), **PAIRS_OF_HEADS},
        lambda s: (30 * s.D // 16 + 3 * s.D) * s.L,
        (PROMPTS, KEYS),
    ),
    "key_value_prompts": Method(adapter(type="key_value_prompts"), lambda s: 5 * s.D * s.L, (KEYS,)),
    "lora": Method(adapter(type="lora", rank=2), lambda s: 2 * 4 * s.D * s.L, (LINEAR,), True, late=("lora_A",)),
    "lora_everywhere": Method(
        adapter(type="lora", rank=3, alpha=6, targets=EVERYWHERE),
        lambda s: 3 * (4 * s.D + 2 * s.D + 2 * (s.D + s.hidden)) * s.L,
        (LINEAR,),
        True,
        late=("lora_A",),
    ),
    "adapter": Method(
        adapter(type="adapter", width=8),
        lambda s: (2 * 8 * s.D + 8 + s.D) * s.L,
        (FFN,),
        True,
        late=("down",),
        merges=False,
    ),
    "adaptformer": Method(
        adapter(type="adaptformer", width=8),
        lambda s: (2 * 8 * s.D + 8 + s.D) * s.L,
        (FFN,),
        True,
        late=("down",),
        merges=False,
    ),
    "ssf": Method(adapter(type="ssf"), lambda s: 2 * ((6 * s.D + s.D + s.hidden) * s.L + 2 * s.D), (LINEAR,), True),
}


def join(*methods: Method) -> Method:
    """Return several methods in one model. Two sets of prompts become a list, which no model takes."""
    each = [method.arguments for method in methods]
    sets = [arguments["prompts"] for arguments in each if "prompts" in arguments]
    takes = tuple(chain.from_iterable(method.takes for method in methods))
    late = tuple(chain.from_iterable(method.late for method in methods))
    if any("start" in own for own in sets):
        late += ("_key",)  # changes a softmax whose values are zero at first
    if any(own.get("start") == "gate" for own in sets) and KEYS in takes:
        late += ("key_value_prompts",)
    return Method(
        arguments=dict(
            prompts=sets[0] if len(sets) == 1 else sets or None,
            adapters=[adapter for arguments in each for adapter in arguments.get("adapters", [])],
            tuned=[name for arguments in each for name in arguments.get("tuned", [])],
        ),
        count=lambda shape: sum(method.count(shape) for method in methods),
        takes=takes,
        starts_as_identity=all(method.starts_as_identity for method in methods),
        late=late,
        # A key bias shifts a query's scores of all tokens and prompts equally, but not those of key-value prompts.
        never=() if KEYS in takes else tuple(chain.from_iterable(method.never for method in methods)),
        merges=all(method.merges for method in methods),
    )


def guided(method: Method) -> Method:
    """Return a method with metric guidance of its prompts, or of three proxies if it has none."""
    own = method.arguments.get("prompts")
    guidance: dict[str, Any] = dict(num_classes=5)
    if own is None:
        guidance["num_prompts"] = 3
    else:
        guidance["blocks"] = [own.get("carry", -1 if own.get("kind", "deep") == "deep" else 0)]
    return replace(
        method,
        arguments=dict(method.arguments, guidance=guidance),
        count=lambda shape: method.count(shape) + (3 * shape.D if own is None else 0),
        late=tuple(part for part in method.late if part != GATED_VALUES[-1]),  # of the guided block
    )


_TWOS = [two for two in combinations(METHODS, 2) if "linear" not in two]  # it adds nothing to another
_CLASHES = {two: sorted(set(METHODS[two[0]].takes) & set(METHODS[two[1]].takes)) for two in _TWOS}
FORBIDDEN = {"+".join(two): "|".join(WHY[place] for place in places) for two, places in _CLASHES.items() if places}
PAIRS = {f"{one}+{two}": join(METHODS[one], METHODS[two]) for (one, two), places in _CLASHES.items() if not places}
GUIDED = {f"{name}+guidance": guided(method) for name, method in METHODS.items()}
GUIDED_PAIRS = {f"{name}+guidance": guided(method) for name, method in PAIRS.items()}
CASES = {**METHODS, **PAIRS, **GUIDED, **GUIDED_PAIRS}
