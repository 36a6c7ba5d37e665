"""Several models on one trunk: one copy in memory, and no model changes another."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from davpt_seg.core import PromptedViT
from davpt_seg.core.delta import POSITIONS, Origin, record_of, without_frozen
from davpt_seg.core.record import Source

from .blocks.families import FAMILIES, SMALL, family_vit
from .int8 import fake_torchao  # noqa: F401
from .methods import METHODS
from .test_delta import images
from .test_methods import stir
from .tiny import TINY, tiny_vit


def beside(model: PromptedViT, **arguments: Any) -> PromptedViT:
    """A second model on the trunk of the first."""
    made = PromptedViT("vit_tiny_patch16_224", weights=model, timm_kwargs=TINY, **arguments)
    for module in (made.prompts, made.adapters, made.biases):
        if module is not None:
            module.double()
    return made


def two_on_a_trunk(trunk: str) -> list[PromptedViT]:
    if trunk == "plain":
        first = tiny_vit()
        return [first, beside(first)]
    name, changes = FAMILIES[trunk]
    first = family_vit(trunk)
    return [first, PromptedViT(name, weights=first, timm_kwargs={**SMALL, **changes})]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_on_a_shared_trunk_equals_it_on_a_trunk_of_its_own_before_and_after_folding(name: str) -> None:
    first = tiny_vit(**METHODS["lora_everywhere"].arguments)
    stir(first)
    before = first.eval()(images()).maps[0]
    shared = stir(beside(first, **METHODS[name].arguments)).eval()
    alone = tiny_vit(**METHODS[name].arguments)
    alone.load_state_dict(shared.state_dict())
    expected = alone.eval()(images()).maps[0]
    assert torch.equal(shared(images()).maps[0], expected)
    torch.testing.assert_close(shared.fold()(images()).maps[0], expected, rtol=0, atol=1e-10)
    assert torch.equal(first(images()).maps[0], before)


def test_tensors_are_shared_and_trained_ones_are_not() -> None:
    first = tiny_vit()
    second = beside(first, tuned=["blocks.*.norm1.weight"])
    own = dict(first.trunk.named_parameters())
    apart = {n for n, p in second.trunk.named_parameters() if p.data_ptr() != own[n].data_ptr()}
    assert apart == {"blocks.0.norm1.weight", "blocks.1.norm1.weight"}
    assert not any(p.requires_grad for p in first.trunk.parameters())


@pytest.mark.parametrize("loading", [0, 1], ids=["the first", "the second"])
def test_a_complete_checkpoint_changes_only_the_model_that_loads_it(loading: int) -> None:
    first = tiny_vit(prompts=dict(num_prompts=2))
    models = [first, beside(first, prompts=dict(num_prompts=2))]
    other = models[1 - loading]
    before = copy.deepcopy(other.state_dict())
    models[loading].load_state_dict({n: value + 1 for n, value in models[loading].state_dict().items()})
    assert all(torch.equal(before[n], value) for n, value in other.state_dict().items())


def test_what_cannot_be_shared_is_refused() -> None:
    first = tiny_vit()
    with pytest.raises(ValueError, match="two sources of weights"):
        beside(first, pretrained=True)
    with pytest.raises(ValueError, match="another PromptedViT, got a Linear"):
        PromptedViT("vit_tiny_patch16_224", weights=torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="the weights given are of a vit_tiny_patch16_224; the two must be the same"):
        PromptedViT("vit_small_patch16_224", weights=first)
    with pytest.raises(ValueError, match=r"tunes its ViT are not the pre-trained ones \(norm\.weight\)"):
        beside(tiny_vit(tuned=["norm.weight"], norm_maps=True))
    with pytest.raises(ValueError, match="folded PromptedViT"):
        beside(tiny_vit(adapters=[dict(type="lora")]).fold())


@pytest.mark.parametrize("loading", [0, 1], ids=["the first", "the second"])
@pytest.mark.parametrize("trunk", ["plain", "beit"])
def test_positions_of_other_last_digits_change_only_the_model_that_loads_them(loading: int, trunk: str) -> None:
    models = two_on_a_trunk(trunk)
    mine, other = models[loading], models[1 - loading]
    before = copy.deepcopy(other.state_dict())
    loaded = {n: value + 1e-6 if POSITIONS.fullmatch(n) else value for n, value in mine.state_dict().items()}
    assert any(POSITIONS.fullmatch(n) for n in loaded)
    mine.load_state_dict(loaded)
    assert all(torch.equal(before[n], value) for n, value in other.state_dict().items())
    apart = {n for n, p in mine.trunk.named_parameters() if p.data_ptr() != other.trunk.get_parameter(n).data_ptr()}
    assert apart and all(POSITIONS.fullmatch(n) for n in apart)


def test_what_another_model_learned_in_its_trunk_changes_only_the_model_that_loads_it() -> None:
    first, donor = tiny_vit(), tiny_vit(tuned=["blocks.*.norm1.weight"])
    donor.load_state_dict(first.state_dict())
    first.trunk.origin = Origin(Source("vit_tiny_patch16_224"))  # type: ignore[assignment]
    second = beside(first)
    before = copy.deepcopy(first.state_dict())
    state = {n: value + n.endswith("norm1.weight") for n, value in donor.state_dict().items()}
    without_frozen(donor, state)
    second.load_state_dict(state)
    assert torch.equal(second.trunk.get_parameter("blocks.0.norm1.weight"), state["trunk.blocks.0.norm1.weight"])
    assert all(torch.equal(before[n], value) for n, value in first.state_dict().items())
    assert record_of(first).source and not record_of(second).source  # whose weights no file holds


@pytest.mark.parametrize("part", ["model", "trunk"])
@pytest.mark.parametrize("training", [0, 1], ids=["the first", "the second"])
def test_training_what_was_unfrozen_later_changes_only_the_model_that_trains(training: int, part: str) -> None:
    models = two_on_a_trunk("plain")
    mine, other = models[training], models[1 - training]
    before = copy.deepcopy(other.state_dict())
    (mine if part == "model" else mine.trunk).requires_grad_(True)
    for _ in range(2):
        optimizer = torch.optim.SGD(mine.parameters(), lr=1)
        mine(images()).maps[0].square().mean().backward()
        optimizer.step()
    assert not torch.equal(mine.trunk.get_parameter("blocks.0.norm1.weight"), before["trunk.blocks.0.norm1.weight"])
    assert all(torch.equal(before[n], value) for n, value in other.state_dict().items())


def test_a_checkpoint_in_int8_changes_only_the_model_that_loads_it(fake_torchao: Any) -> None:  # noqa: F811
    first = PromptedViT("vit_tiny_patch16_224", timm_kwargs=TINY, trunk_quantization="int8")
    second = PromptedViT("vit_tiny_patch16_224", weights=first, timm_kwargs=TINY, trunk_quantization="int8")
    before = copy.deepcopy(first.state_dict())
    second.load_state_dict({n: value + 1 for n, value in second.state_dict().items()})
    assert all(torch.equal(before[n], value) for n, value in first.state_dict().items())
    assert not torch.equal(second.trunk.blocks[0].mlp.fc1.weight_int8, first.trunk.blocks[0].mlp.fc1.weight_int8)
