"""Every plain ViT that timm can build by name is of a family that is tested, or refused for a reason."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import pytest
import timm
import torch
from timm.models import eva, vision_transformer
from torch import nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.blocks import kind
from davpt_seg.core.blocks.refused import refusal, refused_by_name
from davpt_seg.errors import InputError

from .families import FAMILIES, SMALL

#: timm's modules of plain ViTs, and of their near relatives.
MODULES = ["vision_transformer", "eva", "deit", "beit"]
RELATIVES = ["vision_transformer_hybrid", "vision_transformer_sam", "vision_transformer_relpos", "naflexvit"]
RELATIVES += ["vitamin", "cait", "xcit", "hiera"]

#: A name of each kind that is refused, and a part of the reason.
REFUSED = {
    "samvit_base_patch16": "attend within windows",
    "vit_relpos_base_patch16_224": "relative positions",
    "naflexvit_base_patch16_gap": "padded sequence",
    "vit_base_r50_s16_224": "convolutional network",
    "vitamin_small_224": "convolutions",
    "cait_xxs24_224": "mixes heads",
    "xcit_nano_12_p16_224": "compares channels",
    "hiera_tiny_224": "pool their tokens",
    "vit_dwee_patch16_reg1_gap_256": "difference of two softmaxes",
    "vit_dpwee_patch16_reg1_gap_256": "difference of two softmaxes",
}


def traits(trunk: nn.Module) -> tuple[Any, ...]:
    """What of a trunk the walk depends on."""
    found = [type(trunk.patch_embed).__name__, *(part and part.__name__ for part in kind(trunk.blocks[0]))]
    if isinstance(trunk, eva.Eva):
        block, attn = trunk.blocks[0], trunk.blocks[0].attn
        found += [type(trunk.rope).__name__, attn.qkv is None, getattr(attn, "q_bias", None) is None]
        found += [getattr(block, "gamma_1", None) is None, getattr(block, "gamma_2", None) is None]
    return tuple(found)


@cache
def tiny_on_meta(model_name: str) -> nn.Module:
    """A model of a name, made small: whatever its size, it costs milliseconds."""
    made = []

    def build(cls: type, variant: str, pretrained: bool, **kwargs: Any) -> Any:
        taken = inspect.signature(cls).parameters.keys() - {"num_kv_heads", "mlp_ratio"}
        arguments = {name: value for name, value in kwargs.items() if name in taken}
        made.append(cls(**{**arguments, **SMALL, "num_classes": 0}))
        return made[0]

    with pytest.MonkeyPatch.context() as patch, torch.device("meta"):
        for module in (vision_transformer, eva, timm.models.deit, timm.models.beit):
            patch.setattr(module, "build_model_with_cfg", build)
        timm.create_model(model_name)
    return made[0]


def known_traits() -> set[tuple[Any, ...]]:
    return {traits(tiny_on_meta(name)) for name, _ in FAMILIES.values()}


@pytest.mark.parametrize("module", MODULES)
def test_every_name_of_timm_is_of_a_tested_family_or_refused(module: str) -> None:
    names, known = timm.list_models(module=module), known_traits()
    assert len(names) > 5
    unknown = {}
    for name in names:
        if refused_by_name(name) is None:
            trunk = tiny_on_meta(name)
            if refusal(trunk) is None and traits(trunk) not in known:
                unknown[name] = traits(trunk)
    assert unknown == {}


@pytest.mark.parametrize("module", RELATIVES)
def test_relatives_are_refused_by_their_names(module: str) -> None:
    assert [name for name in timm.list_models(module=module) if refused_by_name(name) is None] == []


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_says_why(name: str) -> None:
    with pytest.raises(InputError, match=rf"model_name '{name}': .*{REFUSED[name]}"):
        PromptedViT(name)
