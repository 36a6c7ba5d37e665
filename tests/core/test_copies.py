"""Copies of a model and of its trunk compute what the original does, and stay joined to the right parameters."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from davpt_seg.core import PromptedViT

from .tiny import tiny_vit

ADAPTERS: dict[str, dict[str, Any]] = {
    "lora": dict(adapters=[dict(type="lora", rank=2, targets=["attn.qkv", "mlp.fc1"])]),
    "ssf": dict(adapters=[dict(type="ssf", std=0.02)]),
    "lora and prompts": dict(adapters=[dict(type="lora", rank=2)], prompts=dict(num_prompts=3, start="offset")),
    "adapter": dict(adapters=[dict(type="adapter", width=4)]),
}
EXACT = dict(rtol=0, atol=0)


def model_of(name: str) -> PromptedViT:
    torch.manual_seed(0)
    return stir(tiny_vit(**ADAPTERS[name]))


def stir(model: PromptedViT) -> PromptedViT:
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def maps(model: PromptedViT, **options: Any) -> Tensor:
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return model.encode(images, **options).maps[0]


def copy_trunk(model: PromptedViT) -> PromptedViT:
    model.trunk = copy.deepcopy(model.trunk)
    return model


def copy_block(model: PromptedViT) -> PromptedViT:
    model.trunk.blocks[0] = copy.deepcopy(model.trunk.blocks[0])
    return model


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("replace", [copy_trunk, copy_block])
def test_a_copied_part_of_the_trunk_is_joined_to_the_models_own_parameters(replace: Any, name: str) -> None:
    model = model_of(name)
    before, bare = maps(model), maps(model, prompted=False)
    for _ in range(2):  # a copy of a copy, too
        model = replace(model)
        torch.testing.assert_close(maps(model), before, **EXACT)
        torch.testing.assert_close(maps(model, prompted=False), bare, **EXACT)
    maps(model).square().sum().backward()
    reached = [parameter.grad is not None and bool(parameter.grad.any()) for parameter in model.adapters.parameters()]
    assert sum(reached) >= 0.9 * len(reached)  # all but SSF's of the last norm, which maps do not pass
    learned = maps(stir(model))
    assert not torch.allclose(learned, before)
    torch.testing.assert_close(maps(model.fold()), learned, rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda model: pickle.loads(pickle.dumps(model)),
        lambda model: copy.deepcopy([model.trunk, model])[1],  # the trunk is met before the model
    ],
)
def test_a_copied_model_has_parameters_of_its_own(copied: Any, name: str) -> None:
    model = model_of(name)
    before = maps(model)
    twin = copied(copied(copy_trunk(model)))
    torch.testing.assert_close(maps(twin), before, **EXACT)
    assert twin.state_dict().keys() == model.state_dict().keys()
    assert not {id(p) for p in twin.parameters()} & {id(p) for p in model.parameters()}
    changed = maps(stir(twin))
    torch.testing.assert_close(maps(model), before, **EXACT)
    assert not torch.allclose(changed, before)
    torch.testing.assert_close(maps(twin.fold()), changed, rtol=0, atol=1e-10)
    torch.testing.assert_close(maps(model), before, **EXACT)
