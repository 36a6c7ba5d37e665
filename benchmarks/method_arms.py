"""Every method on one frozen trunk, ready for benchmarks/methods.py to measure."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

import torch
from arms import Arm, assemble
from torch import Tensor

from davpt_seg.core import PromptedViT
from davpt_seg.core.prompts.importance import Importance, pruned
from davpt_seg.experiments.compose import compose
from davpt_seg.experiments.methods import fit_method

PRUNED = "e2vpt, pruned by half"
METHODS = (  # values of method=..., except the pruned one
    "linear",
    "full",
    "bias",
    "efficient_bias",
    "vpt_shallow",
    "vpt_deep",
    "davpt",
    "davpt_plus",
    "e2vpt",
    PRUNED,
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
SEGMENTS = 16  # segments of a prompt of the pruned E2VPT


def backbone_arguments(method: str, depth: int) -> dict[str, Any]:
    """Compose a method, and return its arguments of a PromptedViT with this number of blocks."""
    cfg = compose(method="e2vpt" if method == PRUNED else method).model.backbone.to_dict()
    cfg["out_indices"] = [depth - 1]
    fit_method(cfg)
    arguments = {name: cfg[name] for name in ARGUMENTS if name in cfg}
    if "init" in arguments.get("prompts", {}):
        del arguments["prompts"]["init"]  # prototypes need data and are no part of a step
    if method == PRUNED:
        count = arguments["prompts"]["num_prompts"]
        drawn = Importance(torch.rand(count), torch.rand(count, SEGMENTS))
        arguments["prompts"].update(pruned(drawn, prompt_share=0.5, segment_share=0.5))
    return arguments


def build(method: str, bare: PromptedViT, batch: Sequence[Tensor], options: argparse.Namespace) -> Arm:
    """Build a method on the bare trunk's weights, and its folded form if fold() changes anything."""
    return assemble(options.trunk, backbone_arguments(method, bare.depth), bare, batch, options)
