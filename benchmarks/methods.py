"""Time and memory of every method's training step and inference, as ratios to the bare frozen trunk, in one run.

    python benchmarks/methods.py --amp --threads 1 --batch-size 4 --rounds 9 --json cost.json --figure cost.png
    python benchmarks/methods.py --load cost.json    # the table of a run that was kept

Methods are those of ``configs/_base_/methods``, composed as ``method=...`` composes them (of ADE20K: 150 classes), on
one timm ViT of random weights and the same random images. What is measured, in turns, each once a round:

- **training step**: images to updated parameters: forward pass, the metric losses where the method has guidance (with
  pixel label maps, without the k-means that runs every so many steps), backward pass, AdamW on what is tuned and on a
  linear classifier of the tokens, which stands in for a head.
- **inference**: the forward pass alone; and once more after ``fold()``, where folding changes anything.
- **bare trunk**: the frozen blocks' forward pass, and the backward pass to the embedded tokens, with nothing learned:
  what a method costs at least that learns something in the first block. Its inference is the bare forward pass.

A ratio is the median (and interquartile range) of those within rounds. Memory is measured once: on CPU, the bytes that
autograd holds when the forward pass ends, and AdamW's state of what is tuned, without the weights; elsewhere the peak
that PyTorch's allocator saw in a step, without what was there before it.
"""

from __future__ import annotations

import argparse
import copy
import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, Optional

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
    peak,
    task_loss,
    timed,
    train_step,
)
from methods_report import BARE, figure, table
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from davpt_seg.apis import compose
from davpt_seg.apis.methods import fit_method
from davpt_seg.apis.parts import CompositionError
from davpt_seg.core import PromptedViT
from davpt_seg.core.adapters.pruning import Importance, pruned

METHODS = (  # as method=... takes them; pruned E2VPT besides
    "linear",
    "full",
    "bias",
    "efficient_bias",
    "vpt_shallow",
    "vpt_deep",
    "davpt",
    "davpt_plus",
    "e2vpt",
    PRUNED := "e2vpt, pruned by half",
    "gatevpt",
    "lora",
    "adapter",
    "adaptformer",
    "ssf",
    "vpt_deep+carried",
    "davpt+carried",
    "lora+guidance",
    "adapter+guidance",
)
ARGUMENTS = ("prompts", "adapters", "guidance", "tuned", "frozen", "trunk_mode", "drop_path_rate")
SEGMENTS = 16  # of a prompt, where E2VPT is pruned


class Arm(NamedTuple):
    """A method, ready to be measured."""

    model: PromptedViT
    losses: Losses
    optimizer: Optional[torch.optim.Optimizer]
    folded: Optional[PromptedViT]


def backbone_arguments(method: str, depth: int) -> dict[str, Any]:
    """Compose a method, and return what it says to a PromptedViT of so many blocks."""
    cfg = compose(method="e2vpt" if method == PRUNED else method).model.backbone.to_dict()
    cfg["out_indices"] = [depth - 1]
    fit_method(cfg)
    arguments = {name: cfg[name] for name in ARGUMENTS if name in cfg}
    if method == PRUNED:
        count = arguments["prompts"]["num_prompts"]
        drawn = Importance(torch.rand(count), torch.rand(count, SEGMENTS))
        arguments["prompts"].update(pruned(drawn, prompt_share=0.5, segment_share=0.5))
    return arguments


def method_losses(model: PromptedViT, head: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run the forward pass of a training step."""
    features = model(images)
    patches = features.maps[0].flatten(2).transpose(1, 2)  # (B, N, D)
    losses = model.guidance(features.records, labels) if model.guidance else {}
    return {"loss_task": task_loss(head(features.class_token), head(patches)), **losses}


def build(method: str, bare: PromptedViT, batch: Sequence[Tensor], options: argparse.Namespace) -> Arm:
    """Build a method on the bare trunk's weights, and as it is after fold() if that changes anything."""
    model = PromptedViT(options.trunk, **backbone_arguments(method, bare.depth)).to(options.device)
    take_weights(model, bare)
    folded = copy.deepcopy(model).fold()
    share_weights(folded, bare)
    head = nn.Linear(bare.embed_dim, NUM_CLASSES).to(options.device)
    tuned = [p for p in (*model.parameters(), *head.parameters()) if p.requires_grad]
    return Arm(
        model,
        partial(method_losses, model, head, *batch),
        torch.optim.AdamW(tuned, lr=1e-3),
        folded if folded.state_dict().keys() != model.state_dict().keys() else None,
    )


@torch.no_grad()
def take_weights(model: PromptedViT, bare: PromptedViT) -> None:
    """Give a model the bare trunk's weights: those that are tuned as a copy, the others as the very same memory."""
    for parameter, theirs in _matched(model, bare):
        if parameter.requires_grad:
            parameter.copy_(theirs)
        else:
            parameter.data = theirs.data


def share_weights(folded: PromptedViT, bare: PromptedViT) -> None:
    """Let the weights that folding left as they are be the bare trunk's memory, so that many models fit into it."""
    for parameter, theirs in _matched(folded, bare):
        if torch.equal(parameter, theirs):
            parameter.data = theirs.data


def _matched(model: PromptedViT, bare: PromptedViT) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Pair a trunk's parameters with the bare one's, by their names before peft wrapped a layer."""
    known = dict(bare.trunk.named_parameters())
    for name, parameter in model.trunk.named_parameters():
        if (own := name.replace(".base_layer.", ".")) in known:
            yield parameter, known[own]


def infer(model: PromptedViT, images: Tensor, options: argparse.Namespace) -> None:
    """Run the forward pass as a deployed model does."""
    with torch.inference_mode(), torch.autocast(options.device.type, torch.bfloat16, enabled=options.amp):
        model(images)


def turns(arms: Mapping[str, Arm], images: Tensor, options: argparse.Namespace) -> dict[str, Callable[[], float]]:
    """List what takes turns: what is measured of which method, as text, and a call that tells seconds."""

    def seconds(model: PromptedViT, training: bool, call: Callable[[], None]) -> float:
        model.train(training)
        return timed(call, options.device)

    calls: dict[str, Callable[[], float]] = {}
    for name, arm in arms.items():
        step = partial(train_step, arm.losses, arm.optimizer, options)
        calls[f"train/{name}"] = partial(seconds, arm.model, True, step)
        calls[f"inference/{name}"] = partial(seconds, arm.model, False, partial(infer, arm.model, images, options))
        if arm.folded is not None:
            calls[f"folded/{name}"] = partial(seconds, arm.folded, False, partial(infer, arm.folded, images, options))
    return calls


def memory_of(arm: Arm, options: argparse.Namespace) -> float:
    """Return the MiB that a training step takes beside weights."""
    arm.model.train()
    if options.device.type != "cpu":
        before = getattr(torch, options.device.type).memory_allocated()
        return (peak(partial(train_step, arm.losses, arm.optimizer, options), options.device) - before) / 2**20
    held = held_for_backward(arm.losses, arm.model, options.amp)
    states = arm.optimizer.state.values() if arm.optimizer else ()
    state = sum(value.nbytes for one in states for value in one.values() if isinstance(value, Tensor))
    return (held + state) / 2**20


def left_after_fold(arm: Arm) -> str:
    """Say what a deployed model has beside a plain trunk."""
    model = arm.folded or arm.model
    left = ["keys and values"] if model.folded and any(True for _ in model.folded.buffers()) else []
    if model.prompts:
        left += ["prompts in the sequence", *(["gates, temperatures"] if model.prompts.gates else [])]
    return ", ".join([*left, *model.adapters]) or "nothing"


def measure(methods: Sequence[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure all methods: seconds of each round, MiB, and numbers tuned in the ViT."""
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


def main(argv: Optional[Sequence[str]] = None) -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trunk", default="vit_base_patch16_224", help="a timm ViT with a class token")
    parser.add_argument("--methods", nargs="+", default=METHODS, metavar="METHOD", help="as method=... has them")
    parser.add_argument("--figure", type=Path, help="draw the ratios there")
    parser.add_argument("--load", type=Path, help="measure nothing: read what --json wrote")
    add_options(parser, batch_size=4, rounds=9)
    options = parser.parse_args(argv)
    if options.load:
        measured = json.loads(options.load.read_text())
    else:
        torch.set_num_threads(options.threads)
        logging.getLogger("davpt_seg").setLevel(logging.ERROR)  # its warning of random weights, once a method
        on_cpu = options.device.type == "cpu"
        memory = "held for backward and by AdamW" if on_cpu else "peak of a step"
        try:
            results = measure(options.methods, options)
        except CompositionError as error:
            parser.error(str(error))
        measured = dict(header=header(options.trunk, options), memory=memory, methods=results)
    print(f"{measured['header']}\n\n{table(measured)}")
    if options.json:
        options.json.write_text(json.dumps(measured, indent=1))
    if options.figure:
        figure(measured).savefig(options.figure)


if __name__ == "__main__":
    main()
