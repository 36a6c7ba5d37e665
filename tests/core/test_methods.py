"""Every method through the same checks, alone, guided, joined with every other; a new one is a line in methods.py."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.tuning import trained_table

from .methods import CASES, FORBIDDEN, GUIDED, METHODS, Shape, join
from .tiny import TRAITS, tiny_vit

IMAGES = (2, 3, 24, 37)  # a patch of 8 does not divide the width

ZERO_START = [name for name in METHODS if "zero" in name]

by_method = pytest.mark.parametrize("name", METHODS)
by_guidance = pytest.mark.parametrize("name", [*METHODS, *GUIDED])
by_case = pytest.mark.parametrize("name", CASES)  # pairs, too


def build(name: str, **further: Any) -> PromptedViT:
    torch.manual_seed(0)
    return tiny_vit(**CASES[name].arguments, **further)


def images() -> Tensor:
    return torch.randn(*IMAGES, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def learned(model: PromptedViT) -> dict[str, Tensor]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def stir(model: PromptedViT) -> PromptedViT:
    """Move all that is learned away from where it starts."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in learned(model).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def loss(model: PromptedViT) -> Tensor:
    """A task loss, and the metric losses where there is guidance."""
    features = model(images().to(next(model.parameters()).dtype))
    weights = torch.linspace(-1, 1, features.maps[0].numel(), dtype=features.maps[0].dtype)
    total = (features.maps[0].flatten() * weights).sum() + features.class_token.square().sum()
    if model.guidance:
        labels = torch.arange(IMAGES[0] * 3 * 5).view(IMAGES[0], 3, 5) % 5
        labels = labels.repeat_interleave(8, 1).repeat_interleave(8, 2)[..., : IMAGES[3]]
        total = total + sum(model.guidance(features.records, labels).values())
    return total


def gradients(model: PromptedViT) -> dict[str, Tensor]:
    parameters = learned(model)
    if not parameters:
        return {}
    return dict(zip(parameters, torch.autograd.grad(loss(model), list(parameters.values()))))


@by_case
def test_methods_train_as_many_numbers_as_their_formulas_say(name: str) -> None:
    model = build(name)
    number = sum(p.numel() for p in learned(model).values())
    assert number == CASES[name].count(Shape(D=32, L=2, hidden=128, heads=4))
    assert f"{number:,} of" in trained_table(model)


@by_method
def test_on_the_meta_device_a_vit_b_counts_the_same(name: str) -> None:
    with torch.device("meta"):
        model = PromptedViT("vit_base_patch16_224", **METHODS[name].arguments)
    assert sum(p.numel() for p in learned(model).values()) == METHODS[name].count(
        Shape(D=768, L=12, hidden=3072, heads=12)
    )


@pytest.mark.parametrize("with_guidance", [False, True])
@pytest.mark.parametrize("two", FORBIDDEN)
def test_two_methods_that_change_the_same_are_refused_and_why_is_said(two: str, with_guidance: bool) -> None:
    names = two.split("+")
    for pair in (names, names[::-1]):
        arguments = join(*(METHODS[name] for name in pair)).arguments
        if with_guidance:
            arguments["guidance"] = dict(num_classes=5)
        with pytest.raises(ValueError, match=FORBIDDEN[two]):
            tiny_vit(**arguments)


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.starts_as_identity])
@pytest.mark.parametrize("trait", TRAITS)
def test_what_starts_as_the_identity_changes_nothing_at_first(name: str, trait: str) -> None:
    model, bare = build(name, timm_kwargs=TRAITS[trait]), build("linear", timm_kwargs=TRAITS[trait])
    torch.testing.assert_close(model(images()).maps[0], bare(images()).maps[0], rtol=0, atol=1e-12)


@by_guidance
def test_without_prompts_and_adapters_the_trunk_is_bare(name: str) -> None:
    model = stir(build(name))
    changed = model(images()).maps[0]
    bare = model.encode(images(), prompted=False).maps[0]
    if not CASES[name].arguments.get("tuned"):
        torch.testing.assert_close(bare, build("linear")(images()).maps[0], rtol=0, atol=1e-12)
        assert name.startswith("linear") or (changed - bare).abs().max() > 1e-6
    assert torch.equal(model(images()).maps[0], changed)  # and back again
    assert learned(model).keys() == learned(build(name)).keys()


@by_case
def test_all_that_should_learn_has_a_gradient(name: str) -> None:
    """Each parameter has one; those behind a factor of zero have one after the first step."""
    model, method = build(name).train(), CASES[name]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1)), *learned(model).values()], lr=1e-2)
    zero: list[set[str]] = []
    for _ in range(2):
        found = gradients(model)
        zero.append({key for key, gradient in found.items() if gradient.abs().max() < 1e-9})
        for parameter, gradient in zip(learned(model).values(), found.values()):
            parameter.grad = gradient
        optimizer.step()
    unmoved = {key for key in learned(model) if any(part in key for part in method.never)}
    assert zero[1] == unmoved
    assert zero[0] == unmoved | {key for key in learned(model) if any(part in key for part in method.late)}


@by_guidance
def test_the_frozen_set_stays_bit_for_bit(name: str) -> None:
    model = build(name).float().train()
    before = {key: value.clone() for key, value in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.5)
    for _ in range(2):
        optimizer.zero_grad()
        if learned(model):
            loss(model).backward()
        optimizer.step()
    changed = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert changed <= set(learned(model))
    moved = {key for key in learned(model) if not any(part in key for part in CASES[name].never)}
    assert moved <= changed


@by_guidance
def test_a_state_dict_brings_all_of_it_back(name: str) -> None:
    model = stir(build(name))
    torch.manual_seed(5)
    other = tiny_vit(**CASES[name].arguments)
    other.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, strict=True)
    assert torch.equal(model(images()).maps[0], other(images()).maps[0])


@by_method
def test_the_trunk_keeps_timms_modules_and_names(name: str) -> None:
    bare, trunk = tiny_vit().trunk, build(name).trunk
    assert trunk.state_dict().keys() == bare.state_dict().keys()
    assert [(n, type(m)) for n, m in trunk.named_modules()] == [(n, type(m)) for n, m in bare.named_modules()]


@by_case
def test_folding_keeps_the_outputs_and_leaves_nothing_to_learn(name: str) -> None:
    model = stir(build(name)).eval()
    before = model(images())
    names = tiny_vit().trunk.state_dict().keys()
    assert model.fold() is model
    after = model(images())
    torch.testing.assert_close(after.maps[0], before.maps[0], rtol=0, atol=1e-10)
    torch.testing.assert_close(after.class_token, before.class_token, rtol=0, atol=1e-10)
    assert model.trunk.state_dict().keys() == names and not learned(model)
    beside = {key.partition(".")[0] for key in model.state_dict() if not key.startswith("trunk.")}
    if CASES[name].merges:
        assert beside <= {"folded"}
    other = tiny_vit(**CASES[name].arguments).fold()
    other.load_state_dict(model.state_dict(), strict=True)
    assert torch.equal(other(images()).maps[0], after.maps[0])


@pytest.mark.parametrize("trait", TRAITS)
@by_method
def test_folding_knows_every_kind_of_trunk(name: str, trait: str) -> None:
    model = stir(build(name, timm_kwargs=TRAITS[trait])).eval()
    before = model(images()).maps[0]
    torch.testing.assert_close(model.fold()(images()).maps[0], before, rtol=0, atol=1e-10)


@by_method
def test_folding_again_changes_nothing(name: str) -> None:
    model = stir(build(name)).eval().fold()
    before = model(images()).maps[0]
    assert torch.equal(model.fold()(images()).maps[0], before)


@pytest.mark.parametrize("name", [*ZERO_START, "vpt_deep", "e2vpt", "e2vpt_pruned", "key_value_prompts"])
def test_prompts_fold_bit_for_bit(name: str) -> None:
    model = stir(build(name)).float().eval()
    before = model(images().float()).maps[0]
    assert torch.equal(model.fold()(images().float()).maps[0], before)


@by_guidance
def test_gradient_checkpointing_changes_no_gradient(name: str) -> None:
    found = []
    for with_cp in (False, True):
        model = stir(build(name, with_cp=with_cp)).train()
        found.append(gradients(model))
    assert found[0].keys() == found[1].keys()
    for key, gradient in found[0].items():
        torch.testing.assert_close(found[1][key], gradient, rtol=0, atol=1e-12)


@by_case
def test_mixed_precision_is_near_full_precision(name: str) -> None:
    model = stir(build(name)).float().train()
    full = gradients(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert model(images().float()).maps[0].dtype == tiny_vit().float()(images().float()).maps[0].dtype
        mixed = gradients(model)
    for key, gradient in full.items():
        if "_key" in key:  # zero, or all rounding
            continue
        assert mixed[key].dtype == gradient.dtype
        similarity = torch.cosine_similarity(mixed[key].flatten(), gradient.flatten(), dim=0)
        assert similarity > 0.9, (key, similarity)


@by_guidance
def test_a_copy_learns_by_itself(name: str) -> None:
    model = build(name).train()
    before = model(images()).maps[0]
    twin = copy.deepcopy(model)
    stir(twin)
    assert torch.equal(model(images()).maps[0], before)
    assert name.startswith("linear") or not torch.equal(twin(images()).maps[0], before)
    assert gradients(twin).keys() == gradients(model).keys()
    shared = {id(p) for p in model.parameters()} & {id(p) for p in twin.parameters()}
    assert not shared


@by_method
def test_a_copy_folds_and_the_model_stays_as_it_is(name: str) -> None:
    model = stir(build(name)).eval()
    before, state = model(images()).maps[0], {key: value.clone() for key, value in model.state_dict().items()}
    folded = copy.deepcopy(model).fold()
    torch.testing.assert_close(folded(images()).maps[0], before, rtol=0, atol=1e-10)
    assert torch.equal(model(images()).maps[0], before)
    assert all(torch.equal(state[key], value) for key, value in model.state_dict().items())
