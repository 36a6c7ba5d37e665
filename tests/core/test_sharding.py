"""A trunk whose blocks two processes share: losses and gradients of one process, and a checkpoint of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from davpt_seg.core import PromptedViT
from davpt_seg.core.sharding import shard_blocks
from davpt_seg.errors import InputError

from .guidance.test_gather import in_processes
from .test_methods import build, gradients, images, learned, loss, stir
from .test_methods_distributed import Loss
from .test_precision import full, halved

KINDS = ("bias", "vpt_deep", "gatevpt", "carried_first", "zero_offset", "key_value_prompts", "lora", "adapter", "ssf")
CASES = [(name, False) for name in KINDS] + [("vpt_deep", True), ("lora", True)]
GUIDED = "vpt_deep+guidance"
COMPLETE = StateDictOptions(full_state_dict=True, cpu_offload=True)


def step(model: PromptedViT, rank: int, sharded: bool = True) -> dict[str, Tensor]:
    """The loss and the gradients of a model's second step; a loss is multiplied by the process's number."""
    whole = Loss(model.train())
    if sharded:
        shard_blocks(whole)
        assert all(isinstance(parameter, DTensor) for parameter in model.trunk.blocks.parameters())
    parallel = DistributedDataParallel(whole)
    for _ in range(2):
        parallel.zero_grad()
        total = parallel(rank + 1)
        total.backward()
    return dict({key: parameter.grad for key, parameter in learned(model).items()}, loss=total.detach())


def plain() -> dict[str, Tensor]:
    """Train a method with all of its parameters sharded by the usual calls; all processes have the same data."""
    model = stir(build("vpt_deep")).train()
    for block in model.trunk.blocks:
        fully_shard(block)
    fully_shard(model)
    loss(model).backward()
    return {key: parameter.grad.full_tensor() for key, parameter in learned(model).items()}


def replicated(rank: int) -> dict[Any, dict[str, Tensor]]:
    """Train each method with sharded blocks and replicated prompts, save the last, and train one without replicas."""
    found: dict[Any, dict[str, Tensor]] = {}
    for name, with_cp in CASES:
        model = stir(build(name, with_cp=with_cp))
        found[name, with_cp] = step(model, rank)
    found["saved"] = get_model_state_dict(model, options=COMPLETE)
    other = build(name)
    shard_blocks(other)
    set_model_state_dict(other, stir(build(name)).state_dict(), options=COMPLETE)
    found["loaded"] = get_model_state_dict(other, options=COMPLETE)
    found["half"] = step(halved(full("vpt_deep"), "vpt_deep", "bfloat16"), rank)
    with pytest.raises(InputError, match=r"fold.. needs complete parameters"):
        other.fold()
    found["guided"], found["guided, unsharded"] = (step(stir(build(GUIDED)), rank, on) for on in (True, False))
    found["plain"] = plain()
    return found


def test_sharded_blocks_and_replicated_prompts_train_as_one_process(tmp_path: Path) -> None:
    results = in_processes(replicated, tmp_path, number=2, start_method="forkserver")
    for name, with_cp in CASES:
        model = stir(build(name)).train()
        expected, total = gradients(model), loss(model).detach()
        for rank in (0, 1):
            found = results[rank][name, with_cp]
            torch.testing.assert_close(found.pop("loss"), total * (rank + 1), rtol=1e-9, atol=1e-12)
            assert found.keys() == expected.keys()
            for key, gradient in expected.items():
                torch.testing.assert_close(found[key], gradient * (1 + 2) / 2, rtol=1e-9, atol=1e-12)
    for key, gradient in gradients(stir(build("vpt_deep")).train()).items():
        torch.testing.assert_close(results[0]["plain"][key], gradient, rtol=1e-9, atol=1e-12)
    half = halved(full("vpt_deep"), "vpt_deep", "bfloat16").train()
    for key, gradient in gradients(half).items():
        torch.testing.assert_close(results[0]["half"][key], gradient * (1 + 2) / 2)
    for key, value in results[0]["guided"].items():
        torch.testing.assert_close(value, results[0]["guided, unsharded"][key], rtol=1e-9, atol=1e-12)
    for state in (results[0]["saved"], results[0]["loaded"]):
        assert state.keys() == model.state_dict().keys()
        assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())


def test_blocks_inside_the_wrapper_of_fsdp1_are_refused() -> None:
    model = build("vpt_deep")
    model.trunk.blocks[0].add_module("_fsdp_wrapped_module", nn.Identity())
    with pytest.raises(InputError, match=r"MMEngine's FSDPStrategy.* wraps single blocks.*shard_blocks"):
        model(images())
