"""Guidance of image classifiers: what represents an image, what is a sample, and what class means are of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from davpt_seg.core import PromptedViT, ProxyAnchor

from .tiny import TRAITS, tiny_vit

CLASSES = [0, 3, 1, 3]
CLOSE = dict(rtol=0, atol=1e-10)


def guided(trait: str = "plain", **guidance: Any) -> PromptedViT:
    torch.manual_seed(0)
    config = {**dict(num_classes=4, blocks=[-1], labelling=dict(labels="image")), **guidance}
    return tiny_vit(timm_kwargs=TRAITS[trait], prompts=dict(num_prompts=2), guidance=config).train()


def images() -> Tensor:
    return torch.randn(len(CLASSES), 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def one_hot() -> Tensor:
    return F.one_hot(torch.tensor(CLASSES), 4).bool()


@pytest.mark.parametrize("trait", ["plain", "registers", "no_class_token"])
def test_the_mean_token_is_timms_pooling_of_normalised_patches(trait: str) -> None:
    model = tiny_vit(timm_kwargs=TRAITS[trait]).eval()
    tokens = model.trunk.forward_features(images())
    pooled = model.trunk.fc_norm(tokens[:, model.trunk.num_prefix_tokens :].mean(dim=1))
    torch.testing.assert_close(model(images()).mean_token, pooled, **CLOSE)


def test_the_mean_token_leaves_carried_prompts_out() -> None:
    model = tiny_vit(prompts=dict(num_prompts=3, kind="shallow"), norm_maps=True).eval()
    features = model(images())
    torch.testing.assert_close(features.mean_token, features.maps[0].mean(dim=(2, 3)), **CLOSE)


@pytest.mark.parametrize("trait", ["plain", "registers"])
def test_the_mean_stands_for_the_image_where_the_head_reads_it(trait: str) -> None:
    by_class, by_mean = (
        guided(trait, metric=dict(image_token=token))(images()).records[0] for token in ("class", "mean")
    )
    torch.testing.assert_close(by_mean.image_token, by_class.tokens.mean(dim=1), **CLOSE)
    assert not torch.allclose(by_mean.image_token, by_class.image_token)
    torch.testing.assert_close(by_mean.tokens, by_class.tokens, **CLOSE)


def test_an_images_mean_patch_is_the_only_sample_it_gives() -> None:
    model = guided(metric=dict(patch_tokens="mean"), cls_weight=0.0, patch_weight=1.0)
    each = guided()(images()).records[0].tokens
    records = model(images()).records
    torch.testing.assert_close(records[0].tokens, each.mean(dim=1, keepdim=True), **CLOSE)
    same = model.guidance.mapping.speaks_for().T[torch.tensor(CLASSES)]  # (B, M): a sample an image
    expected = ProxyAnchor()(records[0].prompts, each.mean(dim=1), same, ~same).total
    torch.testing.assert_close(model.guidance(records, one_hot())["loss_metric_patch"], expected, **CLOSE)


def test_each_patch_has_its_images_class_otherwise() -> None:
    model = guided(cls_weight=0.0, patch_weight=1.0)
    records = model(images()).records
    labels = torch.tensor(CLASSES).repeat_interleave(16)
    same = model.guidance.mapping.speaks_for().T[labels]
    expected = ProxyAnchor()(records[0].prompts, records[0].tokens.flatten(0, 1), same, ~same).total
    torch.testing.assert_close(model.guidance(records, one_hot())["loss_metric_patch"], expected, **CLOSE)


@pytest.mark.parametrize("token", ["class", "mean"])
def test_class_means_are_of_image_tokens(token: str) -> None:
    model = guided(mapping=dict(class_means="image"), metric=dict(image_token=token))
    records = model(images()).records
    model.guidance(records, one_hot())
    mapping = model.guidance.mapping
    assert mapping.class_counts.tolist() == [CLASSES.count(c) for c in range(4)]
    for c in set(CLASSES):
        mean = records[0].image_token[torch.tensor(CLASSES) == c].mean(dim=0)
        torch.testing.assert_close(mapping.class_means[c], mean, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "option",
    [dict(metric=dict(patch_tokens="mean")), *(dict(mapping=dict(class_means=of)) for of in ("image", "final"))],
)
def test_options_that_give_an_image_one_label_say_so(option: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="give an image one label: set labelling=dict\(labels='image'\)"):
        guided(**option, labelling=dict(labels="patch"))


@pytest.mark.parametrize("option", [dict(cls_weight=0.1), dict(cls_weight=0.0, mapping=dict(class_means="image"))])
def test_a_vit_without_class_token_is_guided_by_the_mean(option: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="this ViT has none; set metric=dict\(image_token='mean'\)"):
        guided("no_class_token", **option)
    model = guided("no_class_token", metric=dict(image_token="mean"), **option)
    losses = model.guidance(model(images()).records, one_hot())
    sum(losses.values()).backward()
    assert model.prompts.values["1"].grad.abs().sum() > 0
