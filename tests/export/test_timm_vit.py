"""A tuned trunk that folds into a plain ViT is one: timm builds it, reads its file, and computes the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import safetensors
import timm
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.errors import InputError
from davpt_seg.export.timm_vit import plain_vit, save_plain_vit, token_difference

from ..core.blocks.families import FAMILIES, SMALL, family_vit
from ..core.methods import adapter, prompts
from ..core.test_methods import stir

FOLDING: dict[str, dict[str, Any]] = {
    "nothing": {},
    "LoRA": adapter(type="lora", rank=2, targets=["attn.qkv", "mlp.fc2"]),
    "SSF": adapter(type="ssf"),
    "biases": dict(tuned=["blocks.*.attn.key_bias", "blocks.*.attn.value_bias", "blocks.*.mlp.fc1.bias"]),
    "all parameters": dict(frozen=False),
    "a map of the first block": dict(adapter(type="lora", rank=2), out_indices=[0], outputs=["maps"]),
}
LEFT = {
    "prompts": (prompts(3), "keys and values that attention reads"),
    "prompts at zero": (prompts(3, start="offset"), "keys and values that attention reads"),
    "E2VPT": (adapter(type="key_value_prompts", num_prompts=2), "keys and values that attention reads"),
    "shallow prompts": (prompts(3, kind="shallow"), "prompts that stay in the sequence"),
    "Adapter": (adapter(type="adapter", width=4), "the adapter 'adapter'"),
    "AdaptFormer": (adapter(type="adaptformer", width=4), "the adapter 'adaptformer'"),
}


def vit_of(family: str, **arguments: Any) -> tuple[PromptedViT, str, dict[str, Any]]:
    name, changes = FAMILIES[family]
    return stir(family_vit(family, **arguments)).float().eval(), name, {**SMALL, **changes}


def assert_timm_computes_the_same(family: str, path: Path, **arguments: Any) -> None:
    vit, name, kwargs = vit_of(family, **arguments)
    plain = plain_vit(vit, name, dict(kwargs, drop_path_rate=0.0))
    save_plain_vit(plain, path, dict(source="epoch_1.pth"))
    gap, scale = token_difference(plain, path, vit)
    assert gap < 1e-5 * scale
    with safetensors.safe_open(path, "pt") as file:
        said = file.metadata()
    assert said["timm_model"] == name and said["source"] == "epoch_1.pth"
    model = timm.create_model(name, num_classes=0, checkpoint_path=str(path), **json.loads(said["timm_kwargs"])).eval()
    if vit.last + 1 == vit.depth:
        images = torch.randn(2, 3, 32, 32)
        found = model.fc_norm(model.forward_features(images))[:, model.num_prefix_tokens :]
        torch.testing.assert_close(
            found.transpose(1, 2).unflatten(2, (4, 4)), vit(images).maps[0], rtol=1e-4, atol=1e-4
        )


@pytest.mark.parametrize("method", FOLDING)
def test_what_folds_into_a_plain_vit_is_timms(method: str, tmp_path: Path) -> None:
    assert_timm_computes_the_same("vit", tmp_path / "vit.safetensors", norm_maps=True, **FOLDING[method])


@pytest.mark.parametrize("family", ["siglip", "dinov2 with registers", "dinov3", "rope mixed", "beit"])
def test_other_families_are_timms_too(family: str, tmp_path: Path) -> None:
    assert_timm_computes_the_same(family, tmp_path / "vit.safetensors", norm_maps=True, **FOLDING["LoRA"])


def test_a_trunk_without_biases_that_got_some_is_built_with_them(tmp_path: Path) -> None:
    vit = stir(family_vit("vit", timm_kwargs=dict(qkv_bias=False), **FOLDING["biases"])).float().eval()
    plain = plain_vit(vit, FAMILIES["vit"][0], dict(SMALL, qkv_bias=False))
    save_plain_vit(plain, tmp_path / "vit.safetensors", {})
    gap, scale = token_difference(plain, tmp_path / "vit.safetensors", vit)
    assert plain.kwargs["qkv_bias"] and gap < 1e-5 * scale


@pytest.mark.parametrize("method", LEFT)
def test_what_leaves_something_beside_the_trunk_is_refused_by_name(method: str) -> None:
    arguments, said = LEFT[method]
    vit, name, kwargs = vit_of("vit", **arguments)
    with pytest.raises(InputError, match=rf"--timm writes a plain timm ViT, and this one has .*{re.escape(said)}"):
        plain_vit(vit, name, kwargs)
    assert vit.folded is None  # it stays as it is


def test_a_bias_that_timm_has_no_place_for_is_named() -> None:
    vit, name, kwargs = vit_of("eva", tuned=["blocks.*.attn.key_bias"])
    with pytest.raises(InputError, match=r"timm's 'eva_giant_patch14_224' has no place .*blocks\.0\.attn\.k_bias"):
        plain_vit(vit, name, kwargs)
