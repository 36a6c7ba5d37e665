"""Figures of a work dir: the table as dots, and lines along an axis as in DA-VPT's Fig. 4."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.lines import Line2D

from ..plan.drawings import Figure as PlanFigure
from ..plan.tasks import score_of_task
from .ablations import labels_of, panels_of
from .markdown import published_figure, rows, scores_named
from .published import LABEL
from .table import COSTS, MEANS, Column, score_at

MARKERS = "osD^vP"


def panel_grid(
    count: int, most: int, size: Callable[[int, int], tuple[float, float]], sharey: bool = False
) -> tuple[Figure, list[Axes]]:
    """Return a figure and its panels, at least one.

    Args:
        count: number of panels.
        most: largest number of panels in a row.
        size: function from the numbers of panels across and down to width and height in inches.
        sharey: whether panels share their vertical axis.
    """
    across = min(most, max(count, 1))
    down = max(math.ceil(count / across), 1)
    figure = Figure(figsize=size(across, down), dpi=110, layout="constrained")
    grid = list(figure.subplots(down, across, sharey=sharey, squeeze=False).flat)
    for axes in grid[count:]:
        axes.set_visible(False)
    return figure, grid


def table_figure(columns: Sequence[Column]) -> Figure:
    """Draw a panel for each task and mean, with a dot for each method and its standard deviation over seeds.

    Each trunk has a colour; each panel has its own range.
    """
    scored = [(row, label) for row, label in rows(columns) if row not in COSTS]
    panels = [panel for panel in scored if any(score_at(column, panel[0]) is not None for column in columns)]
    methods = list(dict.fromkeys(column.name for column in columns))
    trunks = list(dict.fromkeys(column.trunk for column in columns))

    def size(across: int, down: int) -> tuple[float, float]:
        height = (0.24 * len(methods) * max(len(trunks) ** 0.5, 1) + 0.8) * down + 0.7
        return max(2.6 * across, 5) + 1.2, height

    figure, grid = panel_grid(len(panels), 5, size, sharey=True)
    for axes, (row, label) in zip(grid, panels):
        _dots(axes, columns, row, methods, trunks)
        axes.set_title(label, fontsize=8, fontweight="bold" if row in MEANS else "normal")
    names = scores_named(row for row, _ in panels)
    figure.supxlabel(f"test {names} (%): mean, and standard deviation over seeds", fontsize=9)
    handles, labels = _legend(grid[0], trunks, columns, [row for row, _ in panels])
    figure.legend(handles, labels, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def _dots(axes: Axes, columns: Sequence[Column], row: str, methods: Sequence[str], trunks: Sequence[str]) -> None:
    for column in columns:
        shift = (trunks.index(column.trunk) - (len(trunks) - 1) / 2) * 0.22
        place, color = methods.index(column.name) + shift, f"C{trunks.index(column.trunk)}"
        score = score_at(column, row)
        if score is not None:
            axes.errorbar(score.mean, place, xerr=score.std or 0, fmt="o", color=color, ms=4.5, capsize=2)
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
    """Return handles and labels: a colour for each trunk, and the sign of published values if any is shown."""
    handles = [axes.plot([], [], "o", color=f"C{i}", ms=4.5)[0] for i in range(len(trunks))]
    if any(published_figure(column, row) is not None for column in columns for row in shown):
        handles += axes.plot([], [], "D", markerfacecolor="none", markeredgecolor="gray", ms=5)
        return handles, [*trunks, LABEL]
    return handles, list(trunks)


def figure_of(spec: PlanFigure, columns: Sequence[Column]) -> Figure:
    """Draw a panel for each task and mean: a line with standard deviations for each series, a level for each baseline.

    Args:
        spec: content of the figure.
        columns: columns of one trunk.
    """
    by_name = {column.name: column for column in columns}
    panels = panels_of(spec, columns)
    figure, grid = panel_grid(len(panels), 4, lambda across, down: (max(3.6 * across, 5.6), 2.9 * down + 0.8))
    for axes, (row, label) in zip(grid, panels):
        _lines(axes, spec, by_name, row)
        axes.set_title(label, fontsize=9, fontweight="bold" if row in MEANS else "normal")
        axes.set_ylabel(f"test {score_of_task(row).name} (%)", fontsize=8)
    figure.supxlabel(spec.xlabel or spec.series[0].axis, fontsize=9)
    handles, names = grid[0].get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    legend.set_title(spec.title, FontProperties(size=10))
    return figure


def _lines(axes: Axes, spec: PlanFigure, by_name: Mapping[str, Column], row: str) -> None:
    labels = labels_of(spec)
    for i, series in enumerate(spec.series):
        found = {label: score_at(by_name.get(name), row) for label, name in series.points.items()}
        there = [(labels.index(label), score) for label, score in found.items() if score is not None]
        there.sort(key=lambda point: point[0])
        shift = 0.12 * (i - (len(spec.series) - 1) / 2)  # so that error bars are side by side
        axes.errorbar(
            [place + shift for place, _ in there],
            [score.mean for _, score in there],
            yerr=[score.std or 0 for _, score in there],
            fmt=f"{MARKERS[i % len(MARKERS)]}-",
            color=f"C{i}",
            ms=4,
            lw=1.3,
            capsize=2.5,
            label=series.name.replace("_", " "),
        )
    for i, name in enumerate(spec.baselines, len(spec.series)):
        score = score_at(by_name.get(name), row)
        if score is not None:
            axes.axhline(score.mean, color=f"C{i}", ls="--", lw=1.3, label=name.replace("_", " "))
            std = score.std or 0
            axes.axhspan(score.mean - std, score.mean + std, color=f"C{i}", alpha=0.12, lw=0)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(alpha=0.3)
