"""Learning curves: task loss over training steps, from the logs of final runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...runs.results import result
from ...visualization.curves import read_rows
from ..run.protocol import Protocol
from .figures import panel_grid

METRIC = "loss_metric_"  # losses of guidance; methods are compared by the task's loss


def curve(run: Path) -> dict[int, float]:
    """Read the task's loss by training step from a run's logs; after a resume, the later log counts.

    The task's loss is the sum of the heads' losses. A classification head calls its only loss ``loss``, and MMEngine
    logs it in place of the total.

    Args:
        run: work dir of the run, with MMEngine's ``TIME/vis_data/scalars.json``.
    """
    losses = {}
    for log in sorted(run.glob("*/vis_data/scalars.json")):
        for row in read_rows(log):
            if "loss" in row:
                parts = [row[key] for key in row if "loss" in key and key != "loss" and METRIC not in key]
                losses[row["step"]] = sum(parts) if parts else row["loss"]
    return losses


def mean_curve(curves: Sequence[Mapping[int, float]]) -> tuple[list[int], list[float], list[float]]:
    """Average curves over the steps that all of them have.

    Returns:
        Steps, mean losses, and sample standard deviations (0 for a single curve).
    """
    steps = sorted(set(curves[0]).intersection(*curves[1:]))
    losses = np.array([[each[step] for step in steps] for each in curves])
    std = losses.std(0, ddof=1) if len(curves) > 1 else np.zeros(len(steps))
    return steps, losses.mean(0).tolist(), std.tolist()


def curves_of(protocols: Sequence[Protocol]) -> dict[str, dict[str, list[dict[int, float]]]]:
    """Read the curves of all final runs that ended, by task and trunk, and by method."""
    found: dict[str, dict[str, list[dict[int, float]]]] = {}
    for protocol in protocols:
        study = protocol.study
        runs = [run for run in sorted(protocol.folder.glob("final/seed=*")) if result(run) is not None]
        curves = [losses for run in runs if (losses := curve(run))]
        if curves:
            found.setdefault(f"{study.task}, {study.trunk}", {})[study.name] = curves
    return found


def draw_curves(found: Mapping[str, Mapping[str, Sequence[Mapping[int, float]]]]) -> Figure:
    """Draw a panel for each task and trunk, with a line for each method: mean and standard deviation over seeds.

    Args:
        found: result of :func:`curves_of`, not empty.
    """
    figure, grid = panel_grid(len(found), 2, lambda across, down: (7 * across, 4.2 * down))
    for axes, (title, methods) in zip(grid, found.items()):
        _panel(axes, methods)
        axes.set_title(title, fontsize=9)
    figure.supxlabel("training step", fontsize=9)
    figure.supylabel("the task's loss: mean over seeds, and standard deviation", fontsize=9)
    return figure


def _panel(axes: Axes, methods: Mapping[str, Sequence[Mapping[int, float]]]) -> None:
    for i, (name, curves) in enumerate(methods.items()):
        steps, means, stds = mean_curve(curves)
        low, high = np.subtract(means, stds), np.add(means, stds)
        axes.plot(steps, means, color=f"C{i % 10}", ls="-" if i < 10 else "--", lw=1.3, label=name.replace("_", " "))
        axes.fill_between(steps, low, high, color=f"C{i % 10}", alpha=0.12, lw=0)
    axes.legend(fontsize=7, frameon=False)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)
