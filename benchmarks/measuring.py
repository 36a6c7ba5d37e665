"""What the benchmarks of steps share: a batch, a floor, turns, ratios within rounds, and memory."""

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
    """Take so many threads, and keep our warnings of random weights out of the table; afterwards all is as before."""
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
    """Of seconds to those of a reference, in the same rounds: quartiles."""

    low: float
    median: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.low:.3f} to {self.high:.3f})"


def add_options(parser: argparse.ArgumentParser, batch_size: int, rounds: int) -> None:
    """Add the options that all have."""
    parser.add_argument("--rounds", type=_several, default=rounds, help="timed, at least 2 (default: %(default)s)")
    parser.add_argument("--warmup", type=int, default=2, help="rounds before those (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=batch_size, help="default: %(default)s")
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels (default: %(default)s)")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of PyTorch (default: %(default)s)"
    )
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--amp", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--json", type=Path, help="write all figures there")


def _several(text: str) -> int:
    if not text.isdecimal() or int(text) < 2:
        raise argparse.ArgumentTypeError(f"{text}: quartiles need a number of rounds of at least 2")
    return int(text)


def header(trunk: str, options: argparse.Namespace) -> str:
    """Say what is measured, and on what."""
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
    """Draw images (B, 3, H, W) and label maps (B, H, W) of one-class squares."""
    size = (options.image_size, options.image_size)
    cells = torch.randint(NUM_CLASSES, (options.batch_size, 1, CELLS, CELLS))
    labels = F.interpolate(cells.float(), size=size, mode="nearest-exact")[:, 0].long()
    return torch.randn(options.batch_size, 3, *size).to(options.device), labels.to(options.device)


def task_loss(class_token: Tensor, patches: Tensor) -> Tensor:
    """Stand in for a head and its loss: cheap, with a gradient for every number of both."""
    return class_token.square().mean() + patches.square().mean()


def embed(trunk: nn.Module, images: Tensor) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Run timm's own embedding; return tokens (B, prefix + N, D), and what each block takes besides: its rotation."""
    found = trunk._pos_embed(trunk.patch_embed(images))
    tokens, rope = found if isinstance(found, tuple) else (found, None)
    depth = len(trunk.blocks)
    if rope is None:
        return trunk.norm_pre(tokens), [{}] * depth
    return trunk.norm_pre(tokens), [dict(rope=own) for own in (rope if trunk.rope_mixed else [rope] * depth)]


def through_blocks(trunk: nn.Module, tokens: Tensor, places: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Run timm's own blocks; return the class token (B, D) and the patch tokens (B, N, D)."""
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

    On a CUDA device they are those between two events in its stream. On CPU with one thread they are the processor's,
    among which those of other processes do not count.
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
    """Go from images to updated parameters."""
    with torch.autocast(options.device.type, dtype=dtype, enabled=options.amp):
        computed = losses()
    torch.stack(list(computed.values())).sum().backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()


def in_turns(
    arms: Mapping[str, Callable[[], float]], options: argparse.Namespace, title: str
) -> dict[str, list[float]]:
    """Run each arm once a round, each time another one first; return the seconds that the arms tell, without warmup."""
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
    """Count the bytes of all storages that autograd holds after the forward pass on CPU, but for parameters."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", enabled=amp):
        computed = losses()
    del computed  # only here, since a graph that is let go gives its addresses to others
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return sum(size for address, size in held.items() if address not in weights)


def peak(call: Callable[[], Any], device: torch.device) -> int:
    """Return the most bytes that PyTorch's allocator held during a call, elsewhere than on CPU."""
    memory = getattr(torch, device.type)
    memory.reset_peak_memory_stats()
    call()
    return memory.max_memory_allocated()
