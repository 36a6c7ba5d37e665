"""The table of a pruning cycle: what each stage trains, and its scores."""

from __future__ import annotations

from typing import Any, Optional

import torch
from mmengine.config import Config
from rich import box
from rich.console import Console
from rich.table import Table

from ..core.adapters.pruning import Importance, pruned
from ..training.model import ParameterCounts, build_on_meta, count_parameters
from .prune_check import Shares
from .prune_cycle import METRICS, Cycle
from .prune_files import pruned_config
from .prune_stage import Stage

WIDE = 1000  # columns where no terminal wraps the lines: a Markdown table


def cycle_table(cycle: Cycle, count: int) -> str:
    """Tabulate a cycle's stages, done or not, as Markdown.

    Args:
        cycle: begun or not.
        count: prompts M in each block before pruning.
    """
    table = Table(box=box.MARKDOWN)
    for name in ("stage", "prompts removed", "segments removed", "prompts", "tuned in the ViT", "tuned"):
        table.add_column(name, justify="left" if name == "stage" else "right")
    metric = next((name for name in METRICS if name in (cycle.first.scores or {})), "score")
    for images in ("validation", "test"):
        table.add_column(f"{metric}, {images}", justify="right")
    cfg, chosen = cycle.experiment.choosing, cycle.chosen()
    table.add_row("1", "0%", "0%", *_numbers(cfg, count), _score(cycle.first), "")
    for shares in cycle.shares:
        mark = " (chosen)" if str(shares) == chosen else ""
        table.add_row(
            f"2{mark}", *_pruned_numbers(cfg, count, cycle.segments, shares), _score(cycle.second(shares)), ""
        )
        if mark and cycle.test:
            numbers = _pruned_numbers(cycle.experiment.final, count, cycle.segments, shares)
            table.add_row("final", *numbers, "", _score(cycle.final))
    console = Console(width=WIDE, highlight=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.strip() for line in captured.get().splitlines() if line.strip())


def pruned_counts(cfg: Config, count: int, segments: int, shares: Shares) -> tuple[int, ParameterCounts]:
    """Count prompts and parameters after pruning; which of them are removed changes no number."""
    kept = pruned(Importance(torch.ones(count), torch.ones(count, segments)), *shares)
    return kept["num_prompts"], count_parameters(build_on_meta(pruned_config(cfg, kept)))


def _pruned_numbers(cfg: Config, count: int, segments: int, shares: Shares) -> list[str]:
    left, counts = pruned_counts(cfg, count, segments, shares)
    return [f"{shares.prompts:.0%}", f"{shares.segments:.0%}", *_cells(left, counts)]


def _numbers(cfg: Config, count: int) -> list[str]:
    return _cells(count, count_parameters(build_on_meta(cfg)))


def _cells(prompts: int, counts: ParameterCounts) -> list[str]:
    return [str(prompts), f"{counts.backbone_trained:,}", f"{counts.trained:,}"]


def _score(stage: Stage) -> str:
    scores: Optional[dict[str, Any]] = stage.scores
    if scores is None:
        return "to do"
    return next((f"{scores[name]:.2f}" for name in METRICS if name in scores), "?")
