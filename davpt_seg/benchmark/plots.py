"""The table as a picture."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .markdown import published_figure, rows, scores_named
from .published import LABEL
from .table import COSTS, MEANS, Column

ACROSS = 5  # panels in a row


def picture(columns: Sequence[Column]) -> Figure:
    """Draw a panel for each task and mean, and in it a dot for each method, with its deviation over seeds.

    Trunks are told apart by colour; a panel has its own range.
    """
    panels = [(row, label) for row, label in rows(columns) if row not in COSTS and _any(columns, row)]
    methods = list(dict.fromkeys(column.name for column in columns))
    trunks = list(dict.fromkeys(column.trunk for column in columns))
    across = min(ACROSS, max(len(panels), 1))
    down = max(math.ceil(len(panels) / across), 1)
    width, height = max(2.6 * across, 5) + 1.2, (0.24 * len(methods) * max(len(trunks) ** 0.5, 1) + 0.8) * down + 0.7
    figure = Figure(figsize=(width, height), dpi=110, layout="constrained")
    grid = figure.subplots(down, across, sharey=True, squeeze=False)
    for axes, (row, label) in zip(grid.flat, panels):
        _panel(axes, columns, row, methods, trunks)
        axes.set_title(label, fontsize=8, fontweight="bold" if row in MEANS else "normal")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    scored = scores_named(row for row, _ in panels)
    figure.supxlabel(f"test {scored} (%): mean, and standard deviation over seeds", fontsize=9)
    handles, labels = _legend(grid[0, 0], trunks, columns, [row for row, _ in panels])
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _any(columns: Sequence[Column], row: str) -> bool:
    return any(column.scores.get(row) or column.means().get(row) is not None for column in columns)


def _panel(axes: Axes, columns: Sequence[Column], row: str, methods: Sequence[str], trunks: Sequence[str]) -> None:
    for column in columns:
        shift = (trunks.index(column.trunk) - (len(trunks) - 1) / 2) * 0.22
        place, color = methods.index(column.name) + shift, f"C{trunks.index(column.trunk)}"
        score = column.scores.get(row)
        mean = score.mean if score else column.means().get(row)
        if mean is not None:
            axes.errorbar(mean, place, xerr=(score and score.deviation) or 0, fmt="o", color=color, ms=4.5, capsize=2)
        figure = published_figure(column, row)
        if figure is not None:
            axes.plot(figure, place, "D", markerfacecolor="none", markeredgecolor=color, ms=5)
    axes.set_yticks(range(len(methods)), methods, fontsize=8)
    axes.set_ylim(len(methods) - 0.5, -0.5)
    axes.tick_params(axis="x", labelsize=7)
    axes.grid(alpha=0.3)


def _legend(
    axes: Axes, trunks: Sequence[str], columns: Sequence[Column], shown: Sequence[str]
) -> tuple[list[Line2D], list[str]]:
    """Return handles and labels: a colour for each trunk, and the published figures' sign where any is shown."""
    handles = [axes.plot([], [], "o", color=f"C{i}", ms=4.5)[0] for i in range(len(trunks))]
    if any(published_figure(column, row) is not None for column in columns for row in shown):
        handles += axes.plot([], [], "D", markerfacecolor="none", markeredgecolor="gray", ms=5)
        return handles, [*trunks, LABEL]
    return handles, list(trunks)
