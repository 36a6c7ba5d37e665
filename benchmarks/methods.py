"""Time and memory of every method's training step and inference, as ratios to the bare frozen trunk, in one run.

    python benchmarks/methods.py --amp --threads 1 --batch-size 4 --rounds 9 --json cost.json --figure cost.png
    python benchmarks/methods.py --load cost.json    # the table of a stored run

Methods are those of ``configs/_base_/methods``, composed by ``method=...`` for ADE20K (150 classes), on one timm ViT
with random weights and the same random images. Each round measures in turn:

- **training step**: images to updated parameters: forward pass, the metric losses if the method has guidance (with
  pixel label maps, without k-means, which runs only between many steps), backward pass, AdamW on the tuned parameters
  and on a linear classifier of the tokens in place of a head.
- **inference**: only the forward pass; and again after ``fold()``, if folding changes anything.
- **bare trunk**: the frozen blocks' forward pass, and the backward pass to the embedded tokens, with no learned
  parameters: the cost of gradients for the first block. Its inference is the bare forward pass.

A ratio is the median of ratios within rounds; the figure adds the interquartile range. On CPU with one thread, seconds
are processor time, so that a busy machine has less influence. Memory is measured once: on CPU, the bytes that autograd
holds at the end of the forward pass, and AdamW's state of the tuned parameters, without weights; on other devices the
peak of PyTorch's allocator in a step, without what was allocated before it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional

import torch
from arms import Arm, left_after_fold
from measuring import (
    add_options,
    draw_batch,
    floor,
    header,
    held_for_backward,
    in_turns,
    measuring,
    peak,
    timed,
    train_step,
)
from method_arms import METHODS, build
from methods_report import BARE, figure, table
from rich.console import Console
from rich.progress import track
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser


def infer(model: PromptedViT, images: Tensor, options: argparse.Namespace) -> None:
    """Run the forward pass as a deployed model does."""
    with torch.inference_mode(), torch.autocast(options.device.type, torch.bfloat16, enabled=options.amp):
        model(images)


def turns(arms: Mapping[str, Arm], images: Tensor, options: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """Return the measurements that take turns: a label of measurement and method, and a call that returns seconds."""

    def seconds(model: PromptedViT, training: bool, call: Callable[[], None]) -> float:
        model.train(training)
        return timed(call, options)

    calls: dict[str, Callable[[], float]] = {}
    for name, arm in arms.items():
        step = partial(train_step, arm.losses, arm.optimizer, options)
        calls[f"train/{name}"] = partial(seconds, arm.model, True, step)
        calls[f"inference/{name}"] = partial(seconds, arm.model, False, partial(infer, arm.model, images, options))
        if arm.folded is not None:
            calls[f"folded/{name}"] = partial(seconds, arm.folded, False, partial(infer, arm.folded, images, options))
    return calls


def memory_of(arm: Arm, options: argparse.Namespace) -> float:
    """Return the MiB of a training step, without weights."""
    arm.model.train()
    if options.device.type != "cpu":
        before = getattr(torch, options.device.type).memory_allocated()
        return (peak(partial(train_step, arm.losses, arm.optimizer, options), options.device) - before) / 2**20
    held = held_for_backward(arm.losses, arm.model, options.amp)
    states = arm.optimizer.state.values() if arm.optimizer else ()
    state = sum(value.nbytes for one in states for value in one.values() if isinstance(value, Tensor))
    return (held + state) / 2**20


def measure(methods: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure all methods: seconds of each round, MiB, and parameters tuned in the ViT."""
    torch.manual_seed(0)
    batch = draw_batch(options)
    bare = PromptedViT(options.trunk).to(options.device)
    arms = {BARE: Arm(bare, partial(floor, bare, batch[0]), None, None)}
    for name in track(methods, "building", console=Console(stderr=True)):
        arms[name] = build(name, bare, batch, options)
    results: dict[str, Any] = {name: dict(seconds={}) for name in arms}
    for place, seconds in in_turns(turns(arms, batch[0], options), options, options.trunk).items():
        what, _, name = place.partition("/")
        results[name]["seconds"][what] = seconds
    for name, arm in arms.items():
        tuned = sum(p.numel() for p in arm.model.parameters() if p.requires_grad) if arm.optimizer else 0
        results[name].update(tuned=tuned, mebibytes=memory_of(arm, options), left=left_after_fold(arm))
    return results


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measure, and print the table."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trunk", default="vit_base_patch16_224", help="a timm ViT with a class token")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="METHOD", help="values of method=...")
    parser.add_argument("--figure", type=Path, help="file for a figure of the ratios")
    parser.add_argument("--load", type=Path, help="read a file of --json instead of measuring")
    add_options(parser, batch_size=4, rounds=9)
    options = parser.parse_args(argv)
    if options.load:
        measured = json.loads(options.load.read_text())
    else:
        on_cpu = options.device.type == "cpu"
        memory = "held for backward and by AdamW" if on_cpu else "peak of a step"
        with measuring(options.threads):
            results = measure(options.methods, options)
        measured = dict(header=header(options.trunk, options), memory=memory, methods=results)
    print(f"{measured['header']}\n\n{table(measured)}")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    if options.figure:
        figure(measured).savefig(options.figure)


if __name__ == "__main__":
    main()
