"""Exchange of tensors between processes; in a single process, every function here returns its argument."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


class _AllGather(torch.autograd.Function):
    """Gather of equal shapes, (...) -> (processes, ...). torch's differentiable gather changed names over versions."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        gathered = [torch.empty_like(tensor) for _ in range(dist.get_world_size())]
        dist.all_gather(gathered, tensor)
        return torch.stack(gathered)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        # Sum over processes of their losses' gradients for this process's rows.
        gradient = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(gradient)
        return gradient[dist.get_rank()]


def gather_rows(tensor: Tensor) -> Tensor:
    """Join the rows (T, ...) of all processes, (T_0 + T_1 + ..., ...), in the order of their ranks; T may differ.

    It is differentiable. If every process computes the same loss of the joined rows, the gradient is that of the loss
    times the number of processes; DistributedDataParallel's mean over processes removes this factor.

    Every process must call it equally often and in the same order.
    """
    if world_size() == 1:
        return tensor
    counts = [torch.zeros(1, dtype=torch.long, device=tensor.device) for _ in range(world_size())]
    dist.all_gather(counts, torch.tensor([len(tensor)], device=tensor.device))
    lengths = [int(count) for count in counts]
    padding = tensor.new_zeros(max(lengths) - len(tensor), *tensor.shape[1:])
    padded = torch.cat([tensor, padding]).contiguous()
    if tensor.dtype == torch.bool:  # some backends lack bool
        gathered = _AllGather.apply(padded.to(torch.uint8)).bool()
    else:
        gathered = _AllGather.apply(padded)
    return torch.cat([rows[:length] for rows, length in zip(gathered, lengths)])


@torch.no_grad()
def sum_over_processes(tensor: Tensor) -> Tensor:
    """Return the sum of a tensor over all processes, without gradients."""
    if world_size() == 1:
        return tensor
    total = tensor.clone()
    dist.all_reduce(total)
    return total
