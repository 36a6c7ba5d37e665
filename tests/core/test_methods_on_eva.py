"""Every method on trunks with rotary positions, whose projections are kept in each of timm's ways."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT

from .blocks.families import family_vit
from .methods import METHODS, Shape
from .test_methods import IMAGES, gradients, images, learned, stir

SIZE = dict(embed_dim=32)
#: The trunks of ``tests/core/blocks/families.py``; the first has the modules of a plain ViT.
TRUNKS = ["dinov3 with biases", "eva02 apart", "rope mixed"]
CASES = [(name, trunk) for name in METHODS for trunk in TRUNKS]

by_case = pytest.mark.parametrize(("name", "trunk"), CASES)


def build(name: str, trunk: str, **further: Any) -> PromptedViT:
    torch.manual_seed(0)
    return family_vit(trunk, timm_kwargs=SIZE, **METHODS[name].arguments, **further)


def first_map(model: PromptedViT) -> Tensor:
    return model(images().to(next(model.parameters()).dtype)).maps[0]


@pytest.mark.parametrize("name", METHODS)
def test_as_many_parameters_are_trained_as_on_a_plain_vit(name: str) -> None:
    number = sum(parameter.numel() for parameter in learned(build(name, TRUNKS[0])).values())
    assert number == METHODS[name].count(Shape(D=32, L=2, hidden=128, heads=4))


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.starts_as_identity])
def test_what_starts_as_the_identity_changes_nothing_at_first(name: str, trunk: str) -> None:
    torch.testing.assert_close(first_map(build(name, trunk)), first_map(build("linear", trunk)), rtol=0, atol=1e-12)


@by_case
def test_all_that_should_learn_has_a_gradient_also_when_checkpointed_and_in_mixed_precision(
    name: str, trunk: str
) -> None:
    model = stir(build(name, trunk)).train()
    found = gradients(model)
    assert found.keys() == learned(model).keys()
    zero = {key for key, gradient in found.items() if gradient.abs().max() < 1e-9}
    assert not zero  # a key bias learns, too: it is rotated by each key's place, so softmax does not cancel it
    model.with_cp = True
    for key, gradient in gradients(model).items():
        torch.testing.assert_close(gradient, found[key], rtol=0, atol=1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = gradients(model.float())
    for key in found:
        assert torch.cosine_similarity(mixed[key].double().flatten(), found[key].flatten(), dim=0) > 0.9, key


@by_case
def test_folding_keeps_the_outputs_and_a_state_dict_brings_them_back(name: str, trunk: str) -> None:
    model = stir(build(name, trunk)).eval()
    before = first_map(model)
    other = build(name, trunk)
    other.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, strict=True)
    assert torch.equal(first_map(other), before)
    folded = copy.deepcopy(model).fold()
    torch.testing.assert_close(first_map(folded), before, rtol=0, atol=1e-10)
    assert torch.equal(first_map(model), before) and not learned(folded)
    fresh = build(name, trunk).fold()
    fresh.load_state_dict(folded.state_dict(), strict=True)
    assert torch.equal(first_map(fresh), first_map(folded))


@pytest.mark.parametrize("trunk", TRUNKS)
@pytest.mark.parametrize("name", ["bias", "lora_everywhere", "ssf"])
def test_what_folds_into_the_weights_leaves_a_trunk_for_timms_own_forward_pass(name: str, trunk: str) -> None:
    model = stir(build(name, trunk)).eval()
    before = model(images()).class_token
    timms = model.fold().trunk
    torch.testing.assert_close(timms.fc_norm(timms.forward_features(images())[:, 0]), before, rtol=0, atol=1e-10)


@pytest.mark.parametrize("trunk", TRUNKS)
def test_guidance_of_carried_prompts_reads_patches_and_prompts(trunk: str) -> None:
    prompts = dict(num_prompts=4, carry=0)
    model = family_vit(trunk, timm_kwargs=SIZE, prompts=prompts, guidance=dict(num_classes=5, blocks=[0, 1])).train()
    records = model(images()).records
    assert [tuple(record.tokens.shape) for record in records] == [(IMAGES[0], 15, 32)] * 2
    assert [tuple(record.prompts.shape) for record in records] == [(4, 32)] * 2
