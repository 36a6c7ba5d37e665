"""Several models on one trunk: one copy in memory, and no model changes another."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch

from davpt_seg.core import PromptedViT

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
