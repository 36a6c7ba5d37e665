"""Method on a bare trunk's weights, ready to be measured. Needs only davpt_seg.core, no OpenMMLab."""

from __future__ import annotations

import argparse
import copy
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Optional

import torch
from measuring import NUM_CLASSES, Losses, task_loss
from torch import Tensor, nn

from davpt_seg.core import PromptedViT


class Arm(NamedTuple):
    """Method that is ready to be measured."""

    model: PromptedViT
    losses: Losses
    optimizer: Optional[torch.optim.Optimizer]
    folded: Optional[PromptedViT]


def method_losses(model: PromptedViT, head: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Run the forward pass of a training step."""
    features = model(images)
    patches = features.maps[0].flatten(2).transpose(1, 2)  # (B, N, D)
    losses = model.guidance(features.records, labels) if model.guidance else {}
    return {"loss_task": task_loss(head(features.class_token), head(patches)), **losses}


def assemble(
    trunk: str, arguments: Mapping[str, Any], bare: PromptedViT, batch: Sequence[Tensor], options: argparse.Namespace
) -> Arm:
    """Build a method on the bare trunk's weights, and its folded form if fold() changes anything."""
    with options.device:  # a large ViT's random weights take seconds on a CPU
        model = PromptedViT(trunk, **arguments).to(options.device)
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
    """Give a model the bare trunk's weights: a copy of tuned ones, and the same memory for the others."""
    for parameter, theirs in matched(model, bare):
        if parameter.requires_grad:
            parameter.copy_(theirs)
        else:
            parameter.data = theirs.data


def share_weights(folded: PromptedViT, bare: PromptedViT) -> None:
    """Share the memory of the bare trunk's weights that folding did not change, so that many models fit."""
    for parameter, theirs in matched(folded, bare):
        if torch.equal(parameter, theirs):
            parameter.data = theirs.data


def matched(model: PromptedViT, bare: PromptedViT) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
    """Yield pairs of a trunk's parameters and the bare trunk's."""
    known = dict(bare.trunk.named_parameters())
    for name, parameter in model.trunk.named_parameters():
        if name in known:
            yield parameter, known[name]


def left_after_fold(arm: Arm) -> str:
    """Describe what a deployed model has in addition to a plain trunk."""
    model = arm.folded or arm.model
    left = ["keys and values"] if model.folded and any(True for _ in model.folded.buffers()) else []
    if model.prompts:
        left += ["prompts in the sequence", *(["gates, temperatures"] if model.prompts.gates else [])]
    return ", ".join([*left, *model.adapters]) or "nothing"
