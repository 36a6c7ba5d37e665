"""Learning rates under the names of what learns at them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from davpt_seg.engine.rates import rates


def model() -> nn.Module:
    """A backbone of two parts and two heads."""
    backbone = nn.ModuleDict({"prompts": nn.Linear(2, 2), "trunk": nn.Linear(2, 2)})
    return nn.ModuleDict({"backbone": backbone, "decode_head": nn.Linear(2, 2), "auxiliary_head": nn.Linear(2, 2)})


def groups(built: nn.Module, **rate_of: float) -> list[dict]:
    """A group for each parameter, as MMEngine makes them, halfway through a schedule that halves all rates."""
    found = []
    for name, parameter in built.named_parameters():
        rate = next((value for part, value in rate_of.items() if part in name), 1.0)
        found.append(dict(params=[parameter], initial_lr=rate, lr=rate / 2))
    return found


def test_parts_with_one_rate_share_a_name() -> None:
    built = model()
    found = rates(built, groups(built, prompts=5.0))
    assert found == {"backbone.prompts": 2.5, "backbone.trunk + decode_head + 1 more": 0.5}


def test_a_part_whose_parameters_differ_is_split() -> None:
    built = model()
    assert rates(built, groups(built, bias=3.0)).keys() == {
        "backbone.prompts.weight + backbone.trunk.weight + 2 more",
        "backbone.prompts.bias + backbone.trunk.bias + 2 more",
    }


def test_frozen_parameters_have_no_rate() -> None:
    built = model()
    built["backbone"]["trunk"].requires_grad_(False)
    optimizer = torch.optim.SGD(
        [*built["decode_head"].parameters(), *built["backbone"]["prompts"].parameters()], lr=3.0
    )
    assert rates(built, optimizer.param_groups) == {"model": 3.0}


@pytest.mark.parametrize("lr", [0.0, 0.1])
def test_one_rate_is_that_of_the_model(lr: float) -> None:
    built = model()
    assert rates(built, torch.optim.SGD(built.parameters(), lr=lr).param_groups) == {"model": lr}
