"""Which prompts can be pruned, and by how much."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.config import Config

from ..core.adapters.pruning import Importance, pruned
from ..core.vit import PromptedViT
from ..errors import InputError
from ..training.model import build_on_meta


class Shares(NamedTuple):
    """What is removed: a share of the prompts, and of each remaining prompt's segments."""

    prompts: float
    segments: float

    def __str__(self) -> str:
        return f"prompts={self.prompts:g},segments={self.segments:g}"

    def in_words(self) -> str:
        """Say it in percent."""
        return f"{self.prompts:.0%} of the prompts, {self.segments:.0%} of the segments"


def check_prunable(cfg: Config, name: str, segments: int) -> int:
    """Find out whether a config's prompts can be pruned, without weights or data.

    Args:
        cfg: of a segmentor or classifier.
        name: what the user calls it.
        segments: of a prompt.

    Returns:
        How many prompts M each block has that has any.

    Raises:
        InputError: there are no deep, whole prompts, as many in each block; the message says what to change.
    """
    backbone = cfg.model.get("backbone") or {}
    prompts = backbone.get("prompts")
    if not prompts:
        raise InputError(
            f"{name}: its backbone has no prompts, so nothing to prune; take method=e2vpt, method=vpt_deep, or "
            "backbone=dict(type='PromptedViT', prompts=dict(num_prompts=...))"
        )
    if prompts.get("kind", "deep") != "deep":
        raise InputError(
            f"{name}: these prompts are {prompts.kind}; pruning is for deep ones, which every block has of its own "
            "(prompts kind='deep'; method=e2vpt, method=vpt_deep)"
        )
    if prompts.get("segments") is not None:
        raise InputError(
            f"{name}: these prompts are pruned already (prompts.segments); to remove more, prune the config and "
            "checkpoint that they came from, by larger shares"
        )
    if prompts.get("init") == "prototypes" or any(
        hook.get("type") == "DataMeanInitHook" for hook in cfg.get("custom_hooks") or ()
    ):
        raise InputError(
            f"{name}: prototypes start complete prompts, so pruned ones could not be trained; omit prompts "
            "init='prototypes' and DataMeanInitHook of custom_hooks, train, and prune that"
        )
    vit = build_on_meta(cfg).get_submodule("backbone")
    assert isinstance(vit, PromptedViT) and vit.prompts is not None
    counts = sorted(set(vit.prompts.counts) - {0})
    if len(counts) != 1:
        raise InputError(
            f"{name}: pruning removes the same prompts from all blocks, so all need as many, but they have "
            f"{vit.prompts.counts}; train with as many, --cfg-options model.backbone.prompts.num_prompts={max(counts)} "
            f"(in words: prompts={max(counts)},guided_prompts={max(counts)}), and prune that"
            if counts
            else f"{name}: num_prompts is 0 in all blocks, so there is nothing to prune"
        )
    if segments < 1 or vit.embed_dim % segments:
        raise InputError(f"--segments {segments} do not divide the ViT's width of {vit.embed_dim}; E2VPT takes 16")
    return counts[0]


def combined(
    prompt_shares: Sequence[float], segment_shares: Sequence[float], count: int, segments: int
) -> list[Shares]:
    """Pair every share of the prompts with every share of the segments.

    Raises:
        InputError: a share below 0, or one that leaves no prompt or no segment.
    """
    pairs = [Shares(*pair) for pair in itertools.product(dict.fromkeys(prompt_shares), dict.fromkeys(segment_shares))]
    alike = Importance(torch.ones(count), torch.ones(count, segments))
    for shares in pairs:
        try:
            pruned(alike, *shares)
        except ValueError as error:
            raise InputError(f"{error}; E2VPT (arXiv 2307.13770) tries 0.1 to 0.9") from error
    return pairs
