"""Exact names select exactly those parameters, and the table of what is trained tells the truth."""

from __future__ import annotations

import re

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import nn

from davpt_seg.core import PromptedViT
from davpt_seg.core.tuning import ProjectionBiases, trained_table, tune

L, D, M = 12, 32, 5


def vit(**kwargs: object) -> VisionTransformer:
    trunk = VisionTransformer(img_size=32, patch_size=8, embed_dim=D, depth=L, num_heads=4, num_classes=0, **kwargs)
    return trunk.requires_grad_(False)


def selected(*names: str) -> set[str]:
    """Names of what is trained; virtual names as they were asked for."""
    trunk, biases = vit(), ProjectionBiases()
    tune(trunk, biases, names)
    offsets = {re.sub(r"(\d+)_(\w+)", r"blocks.\1.attn.\2_bias", name) for name in biases.offsets}
    return offsets | {name for name, parameter in trunk.named_parameters() if parameter.requires_grad}


def prompted(**kwargs: object) -> PromptedViT:
    timm_kwargs = dict(img_size=32, patch_size=8, embed_dim=D, depth=L, num_heads=4)
    return PromptedViT("vit_tiny_patch16_224", timm_kwargs=timm_kwargs, **kwargs)


def trained(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters() if parameter.requires_grad)


EXACT = [
    "cls_token",
    "pos_embed",
    "norm.bias",
    "patch_embed.proj.weight",
    "blocks.1.norm1.weight",
    "blocks.11.mlp.fc2.bias",
]


@pytest.mark.parametrize("name", EXACT)
def test_an_exact_name_selects_that_parameter_alone(name: str) -> None:
    assert selected(name) == {name}  # blocks.1 is not blocks.10 or blocks.11 too


@pytest.mark.parametrize(
    "kind", ["norm1.weight", "attn.qkv.bias", "attn.proj.bias", "attn.value_bias", "attn.query_bias"]
)
def test_a_star_selects_the_parameter_of_every_block(kind: str) -> None:
    assert selected(f"blocks.*.{kind}") == {f"blocks.{i}.{kind}" for i in range(L)}


def test_names_add_up() -> None:
    names = ["blocks.3.attn.key_bias", "blocks.3.attn.value_bias", "cls_token", "blocks.7.attn.value_bias"]
    assert selected(*names) == set(names)
    assert selected() == set()


@pytest.mark.parametrize("projection", ["query", "key", "value"])
def test_an_offset_moves_its_own_projection_of_its_own_block(projection: str) -> None:
    trunk, biases = vit(), ProjectionBiases()
    tune(trunk, biases, [f"blocks.4.attn.{projection}_bias"])
    (offset,) = biases.parameters()
    assert offset.shape == (D,) and not offset.any()  # starts at the pre-trained bias
    offset.data.copy_(torch.arange(1, D + 1))
    expected = dict.fromkeys(("query", "key", "value"), torch.zeros(D)) | {projection: torch.arange(1.0, D + 1)}
    assert torch.equal(biases(4), torch.cat(list(expected.values())))
    assert biases(3) is None


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("blocks.*.norm1.wieght", "blocks.*.norm1.weight"),
        ("blocks.*.attn.v_bias", "blocks.*.attn.value_bias"),
        ("class_token", "cls_token"),
        ("blocks.12.norm1.weight", "blocks.11.norm1.weight"),
        ("norm1.bias", "norm.bias"),
    ],
)
def test_an_unknown_name_is_refused_with_near_ones_and_all_names(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=rf"tuned name {re.escape(repr(name))} is no parameter") as error:
        selected("cls_token", name)
    hint, _, every = str(error.value).partition("All names")
    assert repr(near) in hint.partition("did you mean")[2]
    kinds = {re.sub(r"blocks\.\d+", "blocks.*", known) for known, _ in vit().named_parameters()}
    assert {f"blocks.*.attn.{p}_bias" for p in ("query", "key", "value")} | kinds <= set(
        every.split(": ")[1].split(", ")
    )


def test_an_unknown_name_without_near_ones_still_lists_all() -> None:
    with pytest.raises(ValueError, match=r"'%%%' is no parameter of the backbone; all names.*cls_token"):
        selected("%%%")


def test_the_numbers_trained_follow_closed_formulas() -> None:
    efficient_bias = ["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]
    assert trained(prompted(prompts=dict(num_prompts=M))) == L * M * D  # VPT-Deep, DA-VPT
    assert trained(prompted(prompts=dict(num_prompts=M), tuned=efficient_bias)) == L * M * D + 2 * D * L  # DA-VPT+
    assert trained(prompted(tuned=["blocks.*.norm1.weight", "cls_token"])) == D * L + D
    assert trained(prompted()) == 0  # linear probing
    everything = trained(vit().requires_grad_(True))
    assert trained(prompted(frozen=False)) == everything
    assert trained(prompted(frozen=False, prompts=dict(num_prompts=[0] * 11 + [M]))) == everything + M * D


@pytest.mark.parametrize(
    "model",
    [
        lambda: prompted(),
        lambda: prompted(prompts=dict(num_prompts=[3] * 10 + [M, M]), guidance=dict(num_classes=9)),
        lambda: prompted(
            prompts=dict(num_prompts=M),
            tuned=[*(f"blocks.*.attn.{p}_bias" for p in ("query", "key", "value")), "blocks.5.norm2.bias", "cls_token"],
        ),
        lambda: prompted(frozen=False),
    ],
    ids=["linear", "uneven prompts", "prompts and biases", "full"],
)
def test_the_table_adds_up_and_names_everything_trained(model: object) -> None:
    module = nn.ModuleDict({"backbone": model(), "head": nn.Linear(D, 3)})
    header, *lines = trained_table(module, title="What learns").splitlines()
    numbers = [int(number.replace(",", "")) for number in re.findall(r"[\d,]{1,}(?= of| \()", header)]
    assert header.startswith("What learns: ")
    assert numbers == [trained(module), sum(p.numel() for p in module.parameters())]
    assert float(re.search(r"\(([\d.]+) %\)", header)[1]) == pytest.approx(100 * numbers[0] / numbers[1], abs=1e-3)
    rows = [re.fullmatch(r"  (\S+) +(\d+) x \[([\d, ]*)\] +([\d,]+)", line).groups() for line in lines]
    expected: dict[tuple[str, str], int] = {}
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            kind = ".".join(re.sub(r"^\d+", "*", part) for part in name.split("."))
            key = (kind, ", ".join(map(str, parameter.shape)))
            expected[key] = expected.get(key, 0) + parameter.numel()
    assert {(name, shape): int(count.replace(",", "")) for name, _, shape, count in rows} == expected
    assert len(rows) == len(expected)
    for _, times, shape, count in rows:
        assert int(times) * torch.Size(map(int, shape.split(", "))).numel() == int(count.replace(",", ""))
    assert "head.weight" in header + "".join(lines)


def test_the_table_of_a_frozen_module_says_zero() -> None:
    assert trained_table(vit()).splitlines() == [
        f"Trained parameters: 0 of {trained(vit().requires_grad_()):,} (0.000 %)"
    ]
