"""Figure of the importance of prompts and segments, and of what pruning removes."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

NUMBERED = 40  # with more prompts, their numbers would not have room
KEPT, REMOVED = "#2a6f97", "#c9c9c9"


def pruning_picture(prompts: np.ndarray, segments: np.ndarray, staying: np.ndarray) -> Figure:
    """Draw importance as a heat map, with removed parts crossed out, and a bar for each prompt beside it.

    Args:
        prompts: importance of M prompts, (M,).
        segments: importance of their segments, (M, segments).
        staying: segments that stay, (M, segments) bool; a removed prompt has none.
    """
    count, width = segments.shape
    kept = np.asarray(staying.any(axis=1))
    height = float(np.clip(0.26 * count, 2, 14))
    figure = Figure(figsize=(0.34 * width + 5, height + 1.4), dpi=110, layout="constrained")
    heat, bars = figure.subplots(1, 2, sharey=True, width_ratios=[0.34 * width + 1, 3])
    image = heat.imshow(segments, cmap="viridis", vmin=0, aspect="auto")
    figure.colorbar(image, ax=heat, location="left", label="importance of a segment")
    _cross_out(heat, staying, kept, size=min(9.0, 45 * height / count))
    heat.set(xlabel="segment", ylabel="prompt", xticks=range(0, width, max(1, width // 8)))
    if count <= NUMBERED:
        heat.set_yticks(range(count))
    heat.set_title(f"{int(staying.sum())} of {staying.size} segments stay (crosses: removed)", fontsize=10)
    _draw_bars(bars, prompts, kept)
    return figure


def _cross_out(axes: Axes, staying: np.ndarray, kept: np.ndarray, size: float) -> None:
    """Put a cross on each removed segment, and a line through each removed prompt."""
    rows, columns = np.nonzero(~staying & kept[:, None])
    # Two crosses: white is invisible on light cells, black on dark ones.
    for colour, thickness in (("black", 2.4), ("white", 1.2)):
        axes.scatter(columns, rows, marker="x", s=size**2, color=colour, linewidth=thickness)
        axes.hlines(np.flatnonzero(~kept), -0.5, staying.shape[1] - 0.5, color=colour, linewidth=thickness)


def _draw_bars(axes: Axes, prompts: np.ndarray, kept: np.ndarray) -> None:
    axes.barh(range(len(prompts)), prompts, color=np.where(kept, KEPT, REMOVED), height=0.8)
    axes.set(xlabel="importance of a prompt")
    axes.ticklabel_format(axis="x", style="sci", scilimits=(-2, 3))
    axes.locator_params(axis="x", nbins=4)
    axes.tick_params(left=False)
    removed = int((~kept).sum())
    axes.set_title(f"{len(prompts) - removed} of {len(prompts)} prompts stay", fontsize=10)
    if removed:
        axes.legend(handles=[Patch(color=KEPT, label="stays"), Patch(color=REMOVED, label="removed")], fontsize=8)
