"""Time and memory of a training step of DA-VPT+, VPT-Deep and zero-start prompts, as ratios to each other.

    python benchmarks/step_time.py --num-prompts 20 100 --rounds 15
    python benchmarks/step_time.py --arms floor joint offset gate

The arms run on one frozen timm ViT with random weights, in eval mode (no dropout), on the same random images:

- **floor**: embedding, timm's blocks and final norm, a loss on the last map and the class token, and the backward to
  the embedded tokens. No prompts, no parameter gradients, no guidance, no optimizer.
- **ours**: the complete training step of DA-VPT+: embedding, prompts and learned key and value biases in every block,
  the same loss plus the two metric losses of the last block (150 classes, from pixel label maps; without k-means, which
  runs only between many steps), the backward to all trained parameters, AdamW's step and ``zero_grad``.
- **concatenated**: the same step with the prompts in the sequence of timm's blocks, dropped after each block. Its
  losses and gradients are first compared with ours, in float32. Not for trunks with rotary positions.
- **joint**, **offset**, **gate**: the step of VPT-Deep, whose prompts join the tokens' softmax, and of the two forms of
  ``vpt_deep+zero_start``, whose prompts have a separate softmax: prompts in every block, the loss on map and class
  token, AdamW; no guidance, no biases.

A round runs each arm once, in rotating order; a ratio is the median (and interquartile range) of ratios within rounds.
Memory is measured in a separate pass: on CPU, the bytes that autograd holds at the end of the forward pass, each
storage once, without parameters; on other devices, the peak of PyTorch's allocator, weights included.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from functools import partial
from typing import Any, Optional

import torch
from measuring import (
    NUM_CLASSES,
    Losses,
    add_options,
    draw_batch,
    floor,
    header,
    held_for_backward,
    in_turns,
    measuring,
    peak,
    ratio,
    task_loss,
    timed,
    train_step,
)
from torch import Tensor

from davpt_seg.core import GuidedRecord, PromptedViT
from davpt_seg.core.prompts.zero_start import STARTS
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

ARMS = ("floor", "ours", "concatenated", *STARTS)


def prompted(model: PromptedViT, images: Tensor) -> dict[str, Tensor]:
    """Run the package's forward pass without guidance."""
    features = model(images)
    return {"loss_task": task_loss(features.class_token, features.maps[0])}


def ours(model: PromptedViT, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run the package's forward pass and guidance."""
    features = model(images)
    return {"loss_task": task_loss(features.class_token, features.maps[0]), **model.guidance(features.records, labels)}


def concatenated(model: PromptedViT, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run timm's blocks on tokens and prompts in one sequence, as in VPT-Deep's paper (Eq. 4-5)."""
    trunk, tokens = model.trunk, model.embed(images).tokens
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


def check_same_step(model: PromptedViT, arms: dict[str, Losses]) -> None:
    """Check that ours and the concatenated form compute the same losses and gradients."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    steps = [arms[name]() for name in ("ours", "concatenated")]
    torch.testing.assert_close(*steps, rtol=1e-4, atol=1e-6)
    gradients = [torch.autograd.grad(sum(losses.values()), parameters) for losses in steps]
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-6)


def build(num_prompts: int, options: argparse.Namespace) -> dict[str, tuple[PromptedViT, Losses]]:
    """Build the models of the arms, which share one trunk, and their loss functions."""
    torch.manual_seed(0)
    tuned = ["blocks.*.attn.key_bias", "blocks.*.attn.value_bias"]
    prompts, guidance = dict(num_prompts=num_prompts), dict(num_classes=NUM_CLASSES)
    model = PromptedViT(options.model, prompts=prompts, guidance=guidance, tuned=tuned).to(options.device).train()
    if "concatenated" in options.arms and getattr(model.trunk, "rope", None) is not None:
        raise SystemExit("concatenated is for trunks without rotary positions; set --arms floor ours")
    images, labels = draw_batch(options)
    arms: dict[str, tuple[PromptedViT, Losses]] = {
        "floor": (model, partial(floor, model, images)),
        "ours": (model, partial(ours, model, images, labels)),
        "concatenated": (model, partial(concatenated, model, images, labels)),
    }
    for start in STARTS:
        other = PromptedViT(options.model, prompts=dict(prompts, start=start)).to(options.device).train()
        other.trunk = model.trunk
        arms[start] = (other, partial(prompted, other, images))
    return {name: arms[name] for name in options.arms}


def measure(num_prompts: int, options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Measure the arms for one number of prompts: seconds of each round, and MiB."""
    arms = build(num_prompts, options)
    if {"ours", "concatenated"} <= arms.keys():
        check_same_step(arms["ours"][0], {name: losses for name, (_, losses) in arms.items()})
    steps = {}
    for name, (model, losses) in arms.items():
        learned = [p for p in model.parameters() if p.requires_grad]
        adamw = None if name == "floor" else torch.optim.AdamW(learned, lr=1e-3)
        steps[name] = partial(train_step, losses, adamw, options)
    turns = {name: partial(timed, step, options) for name, step in steps.items()}
    results: dict[str, dict[str, Any]] = {
        name: dict(seconds=seconds) for name, seconds in in_turns(turns, options, f"M = {num_prompts}").items()
    }
    for name, (model, losses) in arms.items():
        on_cpu = options.device.type == "cpu"
        held = held_for_backward(losses, model, options.amp) if on_cpu else peak(steps[name], options.device)
        results[name]["mebibytes"] = held / 2**20
    return results


def table(results: dict[str, dict[str, Any]], memory: str) -> str:
    """Write the arms as a Markdown table."""
    references = [name for name in ("floor", "concatenated", "joint") if name in results]
    columns = ["arm", "median step, s", *(f"time to {name}" for name in references), memory]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for name, result in results.items():
        cells = [name, f"{statistics.median(result['seconds']):.3f}"]
        cells += [str(ratio(result["seconds"], results[reference]["seconds"])) for reference in references]
        lines.append(f"| {' | '.join(cells)} | {result['mebibytes']:.0f} |")
    return "\n".join(lines)


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print one table for each number of prompts."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--num-prompts", type=int, nargs="+", default=[20, 100], help="prompts in every block")
    parser.add_argument("--model", default="vit_base_patch16_224", help="a timm ViT with a class token")
    parser.add_argument("--arms", nargs="+", default=ARMS, choices=ARMS, help="default: all")
    add_options(parser, batch_size=8, rounds=15)
    options = parser.parse_args(argv)
    memory = "memory held for backward, MiB" if options.device.type == "cpu" else "peak memory allocated, MiB"
    print(run := header(options.model, options), flush=True)
    measured = {}
    for num_prompts in options.num_prompts:
        with measuring(options.threads):
            measured[num_prompts] = measure(num_prompts, options)
        print(f"\nM = {num_prompts}\n\n{table(measured[num_prompts], memory)}", flush=True)
    if options.json:
        options.json.write_text(json.dumps(dict(header=run, memory=memory, num_prompts=measured), indent=2))


if __name__ == "__main__":
    main()
