"""Gradient checkpointing, DistributedDataParallel with one process, and SyncBN."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from .report import Found, Skip, within
from .scale import Scale
from .task import build, draw, error, gradients, learned, total

TOLERANCE = 1e-4  # float32; CUDA's sums in the backward pass have no fixed order


@contextmanager
def one_process(scale: Scale) -> Iterator[None]:
    """Start a process group of one process, NCCL on a GPU and gloo on a CPU; it needs no network."""
    backend = "nccl" if scale.cuda else "gloo"
    if scale.cuda and not dist.is_nccl_available():
        raise Skip("this PyTorch has no NCCL")
    with tempfile.TemporaryDirectory() as folder:
        dist.init_process_group(backend, init_method=f"file://{folder}/store", rank=0, world_size=1)
        try:
            yield
        finally:
            dist.destroy_process_group()


def check_checkpointing(method: str, scale: Scale) -> Found:
    """Compare gradients with and without gradient checkpointing, in float32 and under autocast, and the memory."""
    batch, limits, memory = draw(scale), {}, {}
    for dtype, tolerance in ((torch.float32, TOLERANCE), (scale.half, torch.finfo(scale.half).eps)):
        found = {}
        for with_cp in (False, True):
            model = build(method, scale, with_cp=with_cp)
            if model.vit.prompts:
                model.vit.prompts.dropout.p = 0.1  # drawn alike, since the seed is the same
            torch.manual_seed(1)
            if scale.cuda:
                torch.cuda.reset_peak_memory_stats()
            with torch.autocast(scale.device.type, scale.half, enabled=dtype is not torch.float32):
                found[with_cp] = gradients(model, batch)
            memory[with_cp] = torch.cuda.max_memory_allocated() / 2**20 if scale.cuda else float("nan")
        limits[f"{str(dtype).removeprefix('torch.')} gradients"] = (error(found[True], found[False]), tolerance)
    result = within(limits, dict(mebibytes=memory))
    if scale.cuda:
        result.detail += f"; peak {memory[True]:.0f} MiB, without {memory[False]:.0f}"
    return result


def step(model: nn.Module, trained: dict[str, nn.Parameter], batch: Any) -> dict[str, Tensor]:
    """Run two steps of SGD; return the parameters afterwards."""
    optimizer = torch.optim.SGD(trained.values(), lr=0.1)
    for _ in range(2):  # DistributedDataParallel reports at the second that the first left a parameter unused
        optimizer.zero_grad()
        total(model(*batch)).backward()
        optimizer.step()
    return {name: parameter.detach().clone() for name, parameter in trained.items()}


def check_ddp(method: str, scale: Scale) -> Found:
    """Compare what two steps change under DistributedDataParallel with what they change without."""
    model, batch = build(method, scale), draw(scale)
    before = {name: parameter.detach().clone() for name, parameter in learned(model).items()}
    plain = copy.deepcopy(model)
    alone = step(plain, learned(plain), batch)
    with one_process(scale):
        wrapped = DistributedDataParallel(model)
        together = step(wrapped, learned(model), batch)
    moved = [{name: after[name] - before[name] for name in before} for after in (together, alone)]
    return within({"update": (error(*moved), 10 * TOLERANCE)})


def check_sync_bn(scale: Scale) -> Found:
    """Compare a prompted ViT under a head with SyncBN with one with BatchNorm: outputs, gradients, running statistics.

    Raises:
        Skip: on a CPU, where PyTorch's SyncBN does not run.
    """
    if not scale.cuda:
        raise Skip("PyTorch's SyncBN runs on GPUs only")
    plain, batch = build("vpt_deep", scale), draw(scale)
    width = plain.vit.embed_dim
    norm = nn.BatchNorm2d(width).to(scale.device)
    plain.head = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), norm, nn.ReLU(), plain.head).to(scale.device)
    synced = nn.SyncBatchNorm.convert_sync_batchnorm(copy.deepcopy(plain))
    expected = gradients(plain, batch)
    with one_process(scale):
        found = gradients(synced, batch)
    buffers = [{k: v.float() for k, v in model.named_buffers() if "running" in k} for model in (synced, plain)]
    limits = {"gradients": (error(found, expected), 10 * TOLERANCE), "statistics": (error(*buffers), TOLERANCE)}
    return within(limits)


def checks(scale: Scale) -> dict[str, Any]:
    """Return the checks of this file by name."""
    backend = "NCCL" if scale.cuda else "gloo"
    return {
        **{
            f"gradient checkpointing: {method}": partial(check_checkpointing, method, scale)
            for method in ("vpt_deep", "davpt_plus", "vpt_deep+zero_start", "full")
        },
        **{
            f"DDP by {backend}, one process: {method}": partial(check_ddp, method, scale)
            for method in ("davpt_plus", "vpt_deep+zero_start", "lora")
        },
        "SyncBN": partial(check_sync_bn, scale),
    }
