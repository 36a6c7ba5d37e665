"""Common parts of the step benchmarks: a batch, a floor, turns, ratios within rounds, and memory."""

from __future__ import annotations

import argparse
import logging
import platform
import re
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Optional

import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from davpt_seg.core import PromptedViT

CELLS, NUM_CLASSES = 8, 150  # one-class squares along a side; patches of 14 or 16 straddle them, so some are mixed

Losses = Callable[[], dict[str, Tensor]]


@contextmanager
def measuring(threads: int) -> Iterator[None]:
    """Set the number of threads and suppress our warnings of random weights, within a context."""
    logger = logging.getLogger("davpt_seg")
    before = torch.get_num_threads(), logger.level
    torch.set_num_threads(threads)
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        logger.setLevel(before[1])


class Ratio(NamedTuple):
    """Quartiles of the ratio of seconds to those of a reference in the same rounds."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def add_options(parser: argparse.ArgumentParser, batch_size: int, rounds: int) -> None:
    """Add the common options."""
    parser.add_argument("--rounds", type=_several, default=rounds, help="timed ones, at least 2 (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="untimed rounds before (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=batch_size, help="default: %(default)s")
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="threads of PyTorch (default: %(default)s)"
    )
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--amp", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--json", type=Path, help="file for all values")


def _several(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: quartiles need a number of rounds of at least 2")
    return int(text)


def header(trunk: str, options: argparse.Namespace) -> str:
    """Describe what is measured, and on which device."""
    precision = "bfloat16" if options.amp else "float32"
    on_cpu = options.device.type == "cpu"
    device = f"{_processor()}, threads: {options.threads}" if on_cpu else torch.cuda.get_device_name(options.device)
    run = f"{trunk}, {options.image_size} pixels, batch {options.batch_size}, {precision}, {options.rounds} rounds"
    return f"PyTorch {torch.__version__}, timm {timm.__version__}, {device}: {run}"


def _processor() -> str:
    linux = Path("/proc/cpuinfo")
    names = re.findall(r"model name\s*: (.*)", linux.read_text()) if linux.is_file() else []
    return names[0] if names else platform.processor() or "CPU"


def draw_batch(options: argparse.Namespace) -> tuple[Tensor, Tensor]:
    """Return random images (B, 3, H, W) and label maps (B, H, W) of one-class squares."""
    size = (options.image_size, options.image_size)
    cells = torch.randint(NUM_CLASSES, (options.batch_size, 1, CELLS, CELLS))
    labels = F.interpolate(cells.float(), size=size, mode="nearest-exact")[:, 0].long()
    return torch.randn(options.batch_size, 3, *size).to(options.device), labels.to(options.device)


def task_loss(class_token: Tensor, patches: Tensor) -> Tensor:
    """Return a cheap loss in place of a head's, with a gradient for every element of both arguments."""
    return class_token.square().mean() + patches.square().mean()


def embed(trunk: nn.Module, images: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Run timm's embedding; return tokens (B, prefix + N, D), and each block's further argument, its rotation."""
    found = trunk._pos_embed(trunk.patch_embed(images))
    tokens, rope = found if isinstance(found, tuple) else (found, None)
    depth = len(trunk.blocks)
    if rope is None:
        return trunk.norm_pre(tokens), [{}] * depth
    return trunk.norm_pre(tokens), [dict(rope=own) for own in (rope if trunk.rope_mixed else [rope] * depth)]


def through_blocks(trunk: nn.Module, tokens: Tensor, places: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Run timm's blocks; return the class token (B, D) and the patch tokens (B, N, D)."""
    for block, own in zip(trunk.blocks, places):
        tokens = block(tokens, **own)
    return trunk.fc_norm(trunk.norm(tokens))[:, 0], tokens[:, trunk.num_prefix_tokens :]


def floor(
    model: PromptedViT, images: Tensor, walk: Callable[..., tuple[Tensor, Tensor]] = through_blocks
) -> dict[str, Tensor]:
    """Run the bare trunk from embedded tokens that need a gradient; ``walk`` may be a compiled through_blocks."""
    tokens, places = embed(model.trunk, images)
    return {"loss_task": task_loss(*walk(model.trunk, tokens.detach().requires_grad_(), places))}


def timed(call: Callable[[], Any], options: argparse.Namespace) -> float:
    """Return the seconds that a call takes.

    On a CUDA device it is the time between two events in its stream. On CPU with one thread it is processor time, which
    other processes do not affect.
    """
    if options.device.type == "cuda":
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        return start.elapsed_time(end) / 1000
    synchronize = getattr(torch, options.device.type).synchronize
    alone = options.device.type == "cpu" and options.threads == 1
    clock = time.process_time if alone else time.perf_counter
    synchronize()
    start = clock()
    call()
    synchronize()
    return clock() - start


def train_step(
    losses: Losses,
    optimizer: Optional[torch.optim.Optimizer],
    options: argparse.Namespace,
    dtype: torch.dtype = torch.bfloat16,
) -> None:
    """Run a training step, from images to updated parameters."""
    with torch.autocast(options.device.type, dtype=dtype, enabled=options.amp):
        computed = losses()
    torch.stack(list(computed.values())).sum().backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()


def in_turns(
    arms: Mapping[str, Callable[[], float]], options: argparse.Namespace, title: str
) -> dict[str, list[float]]:
    """Run each arm once per round, in rotating order; return the seconds that the arms report, without warm-up."""
    from rich.console import Console  # only here: benchmarks/gpu_check.py runs where there is no rich
    from rich.progress import track

    names = list(arms)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    first = [i % len(names) for i in range(options.warmup + options.rounds)]
    turns = [(i, name) for i, k in enumerate(first) for name in names[k:] + names[:k]]
    for i, name in track(turns, title, console=Console(stderr=True)):
        needed = arms[name]()
        if i >= options.warmup:
            seconds[name].append(needed)
    return seconds


def ratio(seconds: Sequence[float], reference: Sequence[float]) -> Ratio:
    """Compare two arms, round by round."""
    return Ratio(*statistics.quantiles([a / b for a, b in zip(seconds, reference)], n=4, method="inclusive"))


def held_for_backward(losses: Losses, model: nn.Module, amp: bool) -> int:
    """Return the bytes of all storages except parameters that autograd holds after the forward pass on CPU."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", enabled=amp):
        computed = losses()
    del computed  # only here, because a released graph's addresses are used again
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return sum(size for address, size in held.items() if address not in weights)


def peak(call: Callable[[], Any], device: torch.device) -> int:
    """Return the peak of bytes in PyTorch's allocator during a call, for devices other than the CPU."""
    memory = getattr(torch, device.type)
    memory.reset_peak_memory_stats()
    call()
    return memory.max_memory_allocated()
