"""The methods that are checked, as arguments of PromptedViT; nothing of OpenMMLab composes them."""

from __future__ import annotations

from typing import Any

NUM_PROMPTS = 20
PROMPTS: dict[str, Any] = dict(num_prompts=NUM_PROMPTS)
ZERO: dict[str, Any] = dict(num_prompts=NUM_PROMPTS, start="offset")
EFFICIENT_BIAS = ["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]
METHODS: dict[str, dict[str, Any]] = {
    "linear": {},
    "vpt_deep": dict(prompts=PROMPTS),
    "vpt_deep+zero_start": dict(prompts=ZERO),
    "davpt": dict(prompts=PROMPTS, guidance={}),
    "davpt+zero_start": dict(prompts=ZERO, guidance={}),
    "davpt_plus": dict(prompts=PROMPTS, guidance={}, tuned=EFFICIENT_BIAS),
    "lora": dict(adapters=[dict(type="lora", rank=8)]),
    "full": dict(frozen=False),
}


def arguments(method: str, num_classes: int) -> dict[str, Any]:
    """Return the arguments of a method for a number of classes."""
    given = dict(METHODS[method])
    if "guidance" in given:
        given["guidance"] = dict(num_classes=num_classes)
    return given
