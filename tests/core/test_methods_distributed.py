"""Every method under DistributedDataParallel: nothing unused, and the gradients of one process."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from davpt_seg.core import PromptedViT

from . import test_methods_on_eva as on_eva
from .guidance.test_gather import in_processes
from .methods import GUIDED, METHODS
from .test_methods import build, gradients, learned, loss

#: On a trunk with rotary positions, one method of each kind.
ROTARY = ("bias", "vpt_deep", "vpt_shallow", "e2vpt_zero_gate", "lora", "ssf")


class Loss(nn.Module):
    """A model that returns its loss, times what the process has for data."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, weight: int) -> Tensor:
        return weight * loss(self.model)


def built(name: str) -> PromptedViT:
    return on_eva.build(name.removeprefix("rotary "), on_eva.TRUNKS[0]) if name.startswith("rotary") else build(name)


def trained(rank: int) -> dict[str, dict[str, Tensor]]:
    """The gradients of each method's second step; torch raises in it if the first left a parameter unused."""
    found = {}
    for name in (*METHODS, *GUIDED, *(f"rotary {name}" for name in ROTARY)):
        model = built(name)
        if not learned(model):
            continue
        wrapped = DistributedDataParallel(Loss(model.train()))
        for _ in range(2):
            wrapped.zero_grad()
            wrapped(rank + 1).backward()
        found[name] = {key: parameter.grad for key, parameter in learned(model).items()}
    return found


def test_every_method_trains_in_several_processes(tmp_path: Path) -> None:
    results = in_processes(trained, tmp_path, number=2, start_method="forkserver")  # autograd's threads survive no fork
    assert len(results[0]) == 2 * len(METHODS) - 1 + len(ROTARY)  # all but linear probing
    compared = [name for name in results[0] if name not in GUIDED]
    for name, expected in ((name, gradients(built(name).train())) for name in compared):
        for key, gradient in expected.items():
            torch.testing.assert_close(results[0][name][key], gradient * (1 + 2) / 2, rtol=1e-9, atol=1e-12)
    for name, found in results[0].items():
        assert all(torch.equal(found[key], results[1][name][key]) for key in found), name
