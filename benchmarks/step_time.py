"""Time and memory of a DA-VPT+ training step, as ratios to the bare frozen trunk and to concatenated prompts.

    python benchmarks/step_time.py --num-prompts 20 100 --rounds 15

Three arms run on one frozen timm ViT of random weights, in eval mode (no dropout), on the same random images:

- **floor**: embedding, the trunk's own blocks and final norm, a loss on the last map and the class token, and the
  backward to the embedded tokens. No prompts, no parameter gradients, no guidance, no optimizer.
- **ours**: the whole training step of DA-VPT+: embedding, prompts and learned key and value biases in every block, the
  same loss plus the two metric losses of the last block (150 classes, from pixel label maps; without the k-means that
  runs every so many steps), the backward to all trained parameters, AdamW's step and ``zero_grad``.
- **concatenated**: the same step with the prompts really in the sequence of timm's own blocks, dropped after each.
  Its losses and gradients are first checked against ours, in float32.

A round runs each arm once, in rotating order; a ratio is the median (and interquartile range) of those within rounds.
Memory has a pass of its own: on CPU, the bytes that autograd holds when the forward pass ends, each storage once,
parameters left out; elsewhere, the peak that PyTorch's allocator saw, weights included.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Optional

import timm
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from davpt_seg.core import GuidedRecord, PromptedViT

IMAGE_SIZE, LABEL_CELL, NUM_CLASSES = 224, 28, 150  # patches of 14 or 16 straddle the cells, so some are mixed

Arm = Callable[[], dict[str, Tensor]]


def draw_batch(batch_size: int) -> tuple[Tensor, Tensor]:
    """Draw images (B, 3, H, W) and label maps (B, H, W) of one-class squares."""
    cells = torch.randint(NUM_CLASSES, (batch_size, IMAGE_SIZE // LABEL_CELL, IMAGE_SIZE // LABEL_CELL))
    labels = cells.repeat_interleave(LABEL_CELL, dim=1).repeat_interleave(LABEL_CELL, dim=2)
    return torch.randn(batch_size, 3, IMAGE_SIZE, IMAGE_SIZE), labels


def task_loss(class_token: Tensor, patches: Tensor) -> Tensor:
    """Stand in for a head and its loss: cheap, with a gradient for every number of both."""
    return class_token.square().mean() + patches.square().mean()


def floor(model: PromptedViT, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run the bare trunk from embedded tokens that need a gradient."""
    trunk, tokens = model.trunk, model.embed(images).detach().requires_grad_()
    for block in trunk.blocks:
        tokens = block(tokens)
    return {"loss_task": task_loss(trunk.fc_norm(trunk.norm(tokens))[:, 0], tokens[:, trunk.num_prefix_tokens :])}


def ours(model: PromptedViT, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run the package's forward pass and guidance."""
    features = model(images)
    return {"loss_task": task_loss(features.class_token, features.maps[0]), **model.guidance(features.records, labels)}


def concatenated(model: PromptedViT, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run timm's own blocks on tokens and prompts in one sequence, as VPT-Deep's paper writes it (Eq. 4-5)."""
    trunk, tokens = model.trunk, model.embed(images)
    prefix, end = trunk.num_prefix_tokens, tokens.shape[1]
    guided, seen = trunk.blocks[-1].attn, {}
    hooks = [
        guided.q_norm.register_forward_hook(lambda _, __, query: seen.update(query=query)),
        guided.proj.register_forward_pre_hook(lambda _, inputs: seen.update(heads=inputs[0])),
    ]
    for i, block in enumerate(trunk.blocks):
        sequence = torch.cat([tokens, model.prompts(i).expand(len(tokens), -1, -1)], dim=1)  # (B, prefix + N + M, D)
        bias = block.attn.qkv.bias + model.biases(i)
        tokens = torch.func.functional_call(block, {"attn.qkv.bias": bias}, sequence)[:, :end]
    for hook in hooks:
        hook.remove()
    prompts = seen["query"][0, :, end:].transpose(0, 1).flatten(1)  # (M, D), the same in every image
    record = GuidedRecord(prompts, seen["heads"][:, prefix:end], seen["heads"][:, 0], model.grid(images))
    losses = model.guidance([record], labels)
    return {"loss_task": task_loss(trunk.fc_norm(trunk.norm(tokens))[:, 0], tokens[:, prefix:]), **losses}


def check_same_step(model: PromptedViT, arms: dict[str, Arm]) -> None:
    """Make sure that ours and the concatenated form compute the same losses and gradients."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    steps = [arms[name]() for name in ("ours", "concatenated")]
    torch.testing.assert_close(*steps, rtol=1e-4, atol=1e-6)
    gradients = [torch.autograd.grad(sum(losses.values()), parameters) for losses in steps]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def step(arm: Arm, optimizer: Optional[torch.optim.Optimizer], options: argparse.Namespace) -> float:
    """Run one arm from images to updated parameters; return the seconds it took."""
    synchronize = getattr(torch, options.device.type).synchronize
    synchronize()
    start = time.perf_counter()
    with torch.autocast(options.device.type, dtype=torch.bfloat16, enabled=options.amp):
        losses = arm()
    torch.stack(list(losses.values())).sum().backward()
    if optimizer:
        optimizer.step()
        optimizer.zero_grad()
    synchronize()
    return time.perf_counter() - start


def held_for_backward(arm: Arm, model: PromptedViT, amp: bool) -> int:
    """Count the bytes of all storages that autograd holds after the forward pass, but for parameters."""
    held: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        held[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.autocast("cpu", enabled=amp):
        losses = arm()
    del losses  # only here, since a graph that is let go gives its addresses to others
    weights = {p.untyped_storage().data_ptr() for p in model.parameters()}
    return sum(size for address, size in held.items() if address not in weights)


def measure(num_prompts: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure the three arms for one number of prompts: seconds of each round, and MiB."""
    torch.manual_seed(0)
    tuned = ["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]
    prompts, guidance = dict(num_prompts=num_prompts), dict(num_classes=NUM_CLASSES)
    model = PromptedViT(options.model, prompts=prompts, guidance=guidance, tuned=tuned).to(options.device).train()
    batch = [tensor.to(options.device) for tensor in draw_batch(options.batch_size)]
    arms: dict[str, Arm] = {form.__name__: partial(form, model, *batch) for form in (floor, ours, concatenated)}
    check_same_step(model, arms)
    adamw = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    run = {name: partial(step, arm, None if name == "floor" else adamw, options) for name, arm in arms.items()}
    results: dict[str, dict[str, Any]] = {name: dict(seconds=[]) for name in arms}
    for i in track(range(options.warmup + options.rounds), f"M = {num_prompts}", console=Console(stderr=True)):
        for name in sorted(arms, key=lambda name: (list(arms).index(name) - i) % len(arms)):
            seconds = run[name]()
            if i >= options.warmup:
                results[name]["seconds"].append(seconds)
    for name, arm in arms.items():
        if options.device.type == "cpu":
            results[name]["mebibytes"] = held_for_backward(arm, model, options.amp) / 2**20
        else:
            getattr(torch, options.device.type).reset_peak_memory_stats()
            run[name]()
            results[name]["mebibytes"] = getattr(torch, options.device.type).max_memory_allocated() / 2**20
    return results


def table(results: dict[str, dict[str, Any]], memory: str) -> str:
    """Write the arms as a Markdown table."""
    lines = [f"| arm | median step, s | time to floor | time to concatenated | {memory} |", "|---|---|---|---|---|"]
    for name, result in results.items():
        cells = [f"{name} | {statistics.median(result['seconds']):.3f}"]
        for reference in ("floor", "concatenated"):
            ratios = [a / b for a, b in zip(result["seconds"], results[reference]["seconds"])]
            low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
            cells.append(f"{median:.3f} ({low:.3f} to {high:.3f})")
        lines.append(f"| {' | '.join(cells)} | {result['mebibytes']:.0f} |")
    return "\n".join(lines)


def main() -> None:
    """Print one table for each number of prompts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-prompts", type=int, nargs="+", default=[20, 100], help="in every block")
    parser.add_argument("--rounds", type=int, default=15, help="timed, at least 2")
    parser.add_argument("--warmup", type=int, default=2, help="rounds before those")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--model", default="vit_base_patch16_224", help="a timm ViT with a class token")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of PyTorch")
    parser.add_argument("--device", type=torch.device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--amp", action="store_true", help="autocast to bfloat16")
    parser.add_argument("--json", type=Path, help="write all figures there")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    logging.getLogger("davpt_seg").setLevel(logging.ERROR)  # its warning of random weights would stand in the table
    on_cpu, precision = options.device.type == "cpu", "bfloat16" if options.amp else "float32"
    memory = "memory held for backward, MiB" if on_cpu else "peak memory allocated, MiB"
    device = f"CPU (threads: {options.threads})" if on_cpu else torch.cuda.get_device_name(options.device)
    run = f"{options.model}, {IMAGE_SIZE} pixels, batch {options.batch_size}, {precision}, {options.rounds} rounds"
    print(header := f"PyTorch {torch.__version__}, timm {timm.__version__}, {device}: {run}", flush=True)
    measured = {}
    for num_prompts in options.num_prompts:
        measured[num_prompts] = measure(num_prompts, options)
        print(f"\nM = {num_prompts}\n\n{table(measured[num_prompts], memory)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(dict(header=header, memory=memory, num_prompts=measured), indent=2))


if __name__ == "__main__":
    main()
