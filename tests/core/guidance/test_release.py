"""DA-VPT's released code in figures: class token, loss terms, gradients, and the range of its initial prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from davpt_seg.core import PromptedViT, Prompts
from davpt_seg.core.prompts.prompts import INITS

FOLDER = Path(__file__).parent / "release"
EXACT = dict(rtol=0, atol=1e-10)
#: What the release does, as arguments of guidance; configs/_base_/methods/davpt_release.py has the same.
RELEASE: dict[str, Any] = dict(
    metric=dict(
        prompt_side="prompt",
        token_side="block_input",
        patch_tokens="mean",
        cls_side="query",
        cls_proxies="prompt",
        divisor="all",
    ),
    labelling=dict(labels="image"),
    mapping=dict(class_means="final"),
)


def released(norm: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Settings and terms, and tensors."""
    tensors = load_file(FOLDER / "figures.safetensors")
    own = {name.removeprefix(f"{norm}."): tensor for name, tensor in tensors.items() if name.startswith(f"{norm}.")}
    return json.loads((FOLDER / "figures.json").read_text())[norm], {**tensors, **own}


def model_of(settings: dict[str, Any], tensors: dict[str, Tensor], **further: Any) -> PromptedViT:
    """The release's model, with its weights, prompts and mapping."""
    sizes = ("img_size", "depth", "embed_dim", "num_heads")
    other, guided = settings["prompts_unguided"], settings["prompts_guided"]
    model = PromptedViT(
        "vit_tiny_patch16_224",
        timm_kwargs={name: settings[name] for name in sizes},
        prompts=dict(num_prompts=[other, guided, guided], norm=settings["prompt_norm"]),
        guidance=dict(
            {name: settings[name] for name in ("num_classes", "patch_weight", "cls_weight")},
            blocks=settings["guided_blocks"],
            **{**RELEASE, "metric": dict(RELEASE["metric"], prompt_scale=settings["prompt_scale"])},
        ),
        **further,
    ).double()
    weights = {name[6:]: tensor for name, tensor in tensors.items() if name.startswith("trunk.")}
    model.trunk.load_state_dict(weights)
    with torch.no_grad():
        prompts = [*tensors["prompts_unguided"], *tensors["prompts_guided"]]
        for values, released_values in zip(model.prompts.values.values(), prompts):
            values.copy_(released_values)
        model.guidance.mapping.prompt_of_class.copy_(tensors["mapping"])
    return model.train()


@pytest.mark.parametrize("with_cp", [False, True])
@pytest.mark.parametrize("norm", ["none", "l2"])
def test_the_release_is_reproduced_to_the_last_digits(norm: str, with_cp: bool) -> None:
    settings, tensors = released(norm)
    model = model_of(settings, tensors, with_cp=with_cp)
    features = model(tensors["images"])
    torch.testing.assert_close(features.class_token, tensors["class_token"], **EXACT)
    labels = nn.functional.one_hot(tensors["labels"], settings["num_classes"]).bool()
    patches, present = model.guidance.targets(features.records, labels)
    for i, record in enumerate(features.records):
        patch, cls = model.guidance.patch_loss(record, patches), model.guidance.class_token_loss(record, present)
        assert patch.total.item() == pytest.approx(settings["patch_terms_per_block"][i], abs=1e-10, rel=0)
        assert cls.total.item() == pytest.approx(settings["cls_terms_per_block"][i], abs=1e-10, rel=0)
    total = sum(model.guidance(features.records, labels).values())
    assert total.item() == pytest.approx(settings["weighted_total"], abs=1e-10, rel=0)
    total.backward()
    other, *guided = (values.grad for values in model.prompts.values.values())
    torch.testing.assert_close(other[None], tensors["grad_prompts_unguided"], **EXACT)
    torch.testing.assert_close(torch.stack(guided), tensors["grad_prompts_guided"], **EXACT)


def test_class_means_are_of_the_final_class_token() -> None:
    settings, tensors = released("none")
    model = model_of(settings, tensors)
    features = model(tensors["images"])
    labels = nn.functional.one_hot(tensors["labels"], settings["num_classes"]).bool()
    model.guidance(features.records, labels)
    for c in tensors["labels"].unique():
        mean = tensors["class_token"][tensors["labels"] == c].mean(dim=0)
        torch.testing.assert_close(model.guidance.mapping.class_means[c], mean, **EXACT)
    assert all(not record.final.requires_grad for record in model.eval().encode(tensors["images"], record=True).records)


@pytest.mark.parametrize(("prompts", "guided"), [([10] * 12, [11]), ([5] * 9 + [10] * 3, [9, 10, 11]), ([7] * 12, [])])
@pytest.mark.parametrize("scale", [1.0, 0.125])
def test_prompts_start_in_the_range_of_torchs_xavier_of_all_layers(
    prompts: list[int], guided: list[int], scale: float
) -> None:
    made = Prompts(prompts, 12, 768, (16, 16), init="release", init_scale=scale, guided=guided)
    for blocks in (guided, [i for i in range(12) if i not in guided]):
        if blocks:
            tensor = nn.init.xavier_uniform_(torch.empty(len(blocks), prompts[blocks[0]], 768)) * scale
            values = torch.stack([made.values[str(i)] for i in blocks])
            assert values.abs().max().item() == pytest.approx(tensor.abs().max().item(), rel=2e-3)
            assert values.std().item() == pytest.approx(tensor.std().item(), rel=5e-2)
    if prompts == [10] * 12 and scale == 0.125:  # the audit of the release: bounds 0.0024 to 0.0033
        assert [round(made.values[str(i)].abs().max().item(), 4) for i in (0, 11)] == [0.0024, 0.0033]


@pytest.mark.parametrize("init", [init for init in INITS if init != "release"])
def test_the_releases_factor_shrinks_no_other_draw(init: str) -> None:
    with pytest.raises(ValueError, match=f"init_scale=0.125 is for init='release'; set it to 1 for init='{init}'"):
        Prompts(4, 2, 16, (8, 8), init=init, init_scale=0.125)


def test_a_vit_knows_which_prompts_are_guided() -> None:
    torch.manual_seed(0)
    config = dict(prompts=dict(num_prompts=10, init="release"), timm_kwargs=dict(depth=4))
    values = PromptedViT("vit_tiny_patch16_224", guidance=dict(num_classes=3, blocks=[-1]), **config).prompts.values
    bounds = [(6 / ((10 + layers) * 192)) ** 0.5 for layers in (3, 3, 3, 1)]
    assert [values[str(i)].abs().max().item() for i in range(4)] == pytest.approx(bounds, rel=1e-2)


def pooling(**further: Any) -> PromptedViT:
    settings, tensors = released("none")
    arguments = dict(prompts=dict(num_prompts=[3, 4, 4], carry=-1), pool_prompts=True, **further)
    sizes = {name: settings[name] for name in ("img_size", "depth", "embed_dim", "num_heads")}
    model = PromptedViT("vit_tiny_patch16_224", timm_kwargs=sizes, **arguments).double()
    model.trunk.load_state_dict({name[6:]: tensor for name, tensor in tensors.items() if name.startswith("trunk.")})
    return model


def test_the_mean_token_pools_patches_and_the_last_blocks_prompts() -> None:
    model, images = pooling().eval(), released("none")[1]["images"]
    tokens = model.embed(images).tokens
    for i, block in enumerate(model.trunk.blocks):  # concatenated, and what prompts became is thrown away but once
        tokens = block(torch.cat([tokens[:, :5], model.prompts(i).expand(len(images), -1, -1)], dim=1))
    expected = model.trunk.norm(tokens)[:, 1:].mean(dim=1)
    assert tokens.shape[1] == 1 + 4 + 4
    torch.testing.assert_close(model(images).mean_token, expected, **EXACT)
    bare = model.encode(images, prompted=False).mean_token
    torch.testing.assert_close(bare, model.trunk.forward_features(images)[:, 1:].mean(dim=1), **EXACT)
    torch.testing.assert_close(model.fold()(images).mean_token, expected, **EXACT)


def test_class_means_are_of_what_is_pooled_where_the_head_reads_that() -> None:
    guidance = dict(num_classes=11, blocks=[1, 2], **RELEASE)
    model, images = pooling(guidance=guidance, outputs=["mean_token"]).train(), released("none")[1]["images"]
    features = model(images)
    assert all(torch.equal(record.final, features.mean_token) for record in features.records)


@pytest.mark.parametrize("change", [dict(outputs=["class_token"]), dict(prompts=dict(num_prompts=4))], ids=str)
def test_pooling_prompts_needs_a_mean_token_and_prompts_in_the_sequence(change: dict[str, Any]) -> None:
    arguments = dict(prompts=dict(num_prompts=4, carry=-1), pool_prompts=True, timm_kwargs=dict(depth=2))
    with pytest.raises(ValueError, match=r"pool_prompts=True .* set out_type='avg_featmap' and .* carry=-1"):
        PromptedViT("vit_tiny_patch16_224", **{**arguments, **change})


def test_final_class_means_need_a_classifiers_token() -> None:
    guidance = dict(num_classes=3, labelling=dict(labels="image"), mapping=dict(class_means="final"))
    arguments = dict(prompts=dict(num_prompts=2), timm_kwargs=dict(depth=2), outputs=["maps"])
    with pytest.raises(ValueError, match=r"class_means='final' .* returns maps: set out_type='cls_token' or 'avg_"):
        PromptedViT("vit_tiny_patch16_224", guidance=guidance, **arguments)
