"""Arguments of the backbone: random configs of prompts, guidance and adapters, some of them changed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch

from davpt_seg.models import PromptedViTBackbone

from ..judge import Fuzz, Wrong
from ..mutate import changed_config

CLASSES = 3
PROMPTS: list[dict[str, Any]] = [
    dict(num_prompts=3),
    dict(num_prompts=[2, 3], dropout=0.1, norm="l2"),
    dict(num_prompts=4, kind="shallow", init="xavier"),
    dict(num_prompts=4, kind="gated", gate_start=-4.0),
    dict(num_prompts=3, carry=1, norm="layer"),
    dict(num_prompts=3, init="release", init_scale=0.125),
    dict(num_prompts=3, start="offset", dropout=0.1),
    dict(num_prompts=[2, 3], start="gate"),
]
GUIDANCE: list[dict[str, Any]] = [
    dict(blocks=[1]),
    dict(blocks=[-1], patch_weight=0.1, cls_weight=0.0, mapping=dict(kind="static", seed=3)),
    dict(
        labelling=dict(labels="image"),
        mapping=dict(class_means="image"),
        metric=dict(patch_tokens="mean", prompt_scale=1.0),
    ),
    dict(labels="image", token_side="block_input", cls_side="query", cls_proxies="prompt", divisor="all"),  # old names
    dict(
        metric=dict(kind="triplet", margin=0.2, token_side="key", cls_side="input"),
        labelling=dict(purity=0.9),
    ),
    dict(metric=dict(kind="proxy_nca", scale=16.0, image_token="mean"), gather=False, labelling=dict(ignore_index=-1)),
    dict(metric=dict(kind="attention", scale=2.0, prompt_side="key", token_side="query"), cls_weight=0.0),
]
PROXIES = dict(blocks=[1], num_prompts=2)
ADAPTERS: list[list[dict[str, Any]]] = [
    [dict(type="lora", rank=2, alpha=4.0, dropout=0.1, targets=["attn.qkv", "mlp.fc1"])],
    [dict(type="adapter", width=4)],
    [dict(type="adaptformer", width=4)],
    [dict(type="ssf")],
    [dict(type="key_value_prompts", num_prompts=2)],
    [dict(type="lora", rank=2), dict(type="adapter", width=4)],
]


def config_of(draw: random.Random) -> dict[str, Any]:
    """Return a random valid config."""
    config: dict[str, Any] = dict(
        model_name="vit_tiny_patch16_224",
        timm_kwargs=dict(img_size=16, patch_size=8, embed_dim=16, depth=2, num_heads=2),
        out_indices=draw.choice([[1], [0, 1], [-1]]),
        norm_maps=draw.random() < 0.5,
        frozen=True,
    )
    if draw.random() < 0.7:
        config["prompts"] = dict(draw.choice(PROMPTS))
    if draw.random() < 0.5:
        config["adapters"] = [dict(one) for one in draw.choice(ADAPTERS)]
    if draw.random() < 0.3:
        config["tuned"] = ["blocks.*.attn.value_bias", "blocks.1.norm1.weight"]
    if draw.random() < 0.3:
        config.update(drop_path_rate=0.1, trunk_mode="train")
    if draw.random() < 0.2:
        config["with_cp"] = True
    kind = config.get("prompts", {}).get("kind", "deep")
    if draw.random() < 0.6 and kind == "deep":
        config["guidance"] = dict(draw.choice(GUIDANCE) if "prompts" in config else PROXIES, num_classes=CLASSES)
    return config


def use(config: dict[str, Any]) -> None:
    """Build the backbone and train it for a step, on valid image labels of three classes.

    Raises:
        Wrong: impossible maps, losses or gradients.
    """
    torch.manual_seed(0)
    backbone = PromptedViTBackbone(**config).train()
    maps = backbone(torch.rand(2, 3, 16, 16))
    loss = sum((each.float() ** 2).mean() for each in maps)
    records = backbone.take_records()
    if backbone.guidance is not None and records:
        labels = torch.eye(backbone.guidance.num_classes, dtype=torch.bool)[[0, -1]]
        loss = loss + sum(backbone.guidance(records, labels).values())
    elif backbone.guidance is not None:
        raise Wrong("guidance without records")
    if not maps or any(each.shape[:1] != (2,) for each in maps):
        raise Wrong(f"maps of {[each.shape for each in maps]}")
    if not torch.isfinite(loss):
        raise Wrong(f"the loss is {loss}")
    if loss.requires_grad:
        loss.backward()
    for name, parameter in backbone.named_parameters():
        if parameter.grad is not None and not torch.isfinite(parameter.grad).all():
            raise Wrong(f"the gradient of {name} is not finite")


def fuzz(fuzz: Fuzz, folder: Path) -> None:
    """Judge random configs; a quarter of them are right."""
    for draw in fuzz.draws():
        config = config_of(draw)
        names: set[str] = set()
        shown: list[str] = []
        changes = draw.choice([0, 1, 1, 2])
        for _ in range(changes):
            config, more, how = changed_config(config, draw)
            names |= more
            if "timm_kwargs" in more:  # another depth is found where blocks are counted
                names |= {"num_prompts", "blocks"}
            shown.append(how)
        fuzz.judge(f"{shown} in {config}", lambda config=config: use(config), names, (OSError,), must_work=not changes)
