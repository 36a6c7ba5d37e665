"""Figures in the form of DA-VPT's Fig. 4: accuracy along an axis, a line for each series."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties

from .drawings import FigureSpec
from .figure_tables import labels_of, panels_of
from .table import MEANS, Column, score_at
from .tasks import score_of_task

ACROSS = 4  # panels in a row
MARKERS = "osD^vP"


def figure_of(spec: FigureSpec, columns: Sequence[Column]) -> Figure:
    """Draw a panel for each task and mean: a line with deviations for each series, a horizontal one for each baseline.

    Args:
        spec: what is drawn.
        columns: of one trunk.
    """
    by_name = {column.name: column for column in columns}
    panels = panels_of(spec, columns)
    across = min(ACROSS, max(len(panels), 1))
    down = max(math.ceil(len(panels) / across), 1)
    size = (max(3.6 * across, 5.6), 2.9 * down + 0.8)
    figure = Figure(figsize=size, dpi=110, layout="constrained")
    grid = figure.subplots(down, across, squeeze=False)
    for axes, (row, label) in zip(grid.flat, panels):
        _panel(axes, spec, by_name, row)
        axes.set_title(label, fontsize=9, fontweight="bold" if row in MEANS else "normal")
        axes.set_ylabel(f"test {score_of_task(row).name} (%)", fontsize=8)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    figure.supxlabel(spec.xlabel, fontsize=9)
    handles, names = grid[0, 0].get_legend_handles_labels()
    legend = figure.legend(handles, names, loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    legend.set_title(spec.title, FontProperties(size=10))
    return figure


def _panel(axes: Axes, spec: FigureSpec, by_name: Mapping[str, Column], row: str) -> None:
    labels = labels_of(spec)
    for i, series in enumerate(spec.series):
        found = {label: score_at(by_name.get(name), row) for label, name in series.points.items()}
        there = [(labels.index(label), score) for label, score in found.items() if score is not None]
        there.sort(key=lambda point: point[0])
        shift = 0.12 * (i - (len(spec.series) - 1) / 2)  # so that deviations stand side by side
        axes.errorbar(
            [place + shift for place, _ in there],
            [score.mean for _, score in there],
            yerr=[score.deviation or 0 for _, score in there],
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
            deviation = score.deviation or 0
            axes.axhspan(score.mean - deviation, score.mean + deviation, color=f"C{i}", alpha=0.12, lw=0)
    axes.set_xticks(range(len(labels)), labels, fontsize=8)
    axes.set_xlim(-0.4, len(labels) - 0.6)
    axes.tick_params(axis="y", labelsize=8)
    axes.grid(alpha=0.3)
