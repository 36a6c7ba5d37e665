"""The confusion matrix as a picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

ANNOTATED = 30  # with more classes, numbers in the cells could not be read


def confusion_picture(matrix: np.ndarray, classes: Sequence[str], worst: int = 12) -> Figure:
    """Draw what each class's pixels were taken for, in percent of the class, and name the largest mix-ups.

    Args:
        matrix: pixels of class i that were taken for class j, (C, C).
        classes: C names.
        worst: how many mix-ups to name.
    """
    pixels = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(100 * matrix, pixels, where=pixels > 0, out=np.full(matrix.shape, np.nan))
    few = len(classes) <= ANNOTATED
    side = 2.2 + (0.55 if few else 0.16) * len(classes)
    figure = Figure(figsize=(side + 3.6, side), dpi=110, layout="constrained")
    axes, text = figure.subplots(1, 2, width_ratios=[side, 3.4])
    font = 9 if few else 7
    display = ConfusionMatrixDisplay(shares, display_labels=classes)
    display.plot(
        ax=axes,
        cmap="Blues",
        include_values=few,
        values_format=".0f",
        text_kw=dict(fontsize=8),
        xticks_rotation="vertical",
        im_kw=dict(vmin=0, vmax=100),
        colorbar=False,
    )
    axes.tick_params(labelsize=font, length=2)
    axes.set(xlabel="taken for", ylabel="true class")
    axes.set_title("Where each class's pixels went (% of the row)")
    figure.colorbar(display.im_, ax=axes, shrink=0.5, pad=0.02, label="% of the true class's pixels")
    absent = [name for name, count in zip(classes, pixels[:, 0]) if count == 0]
    text.axis("off")
    text.text(0, 1, largest(shares, classes, worst, absent), va="top", fontsize=9, transform=text.transAxes)
    return figure


def largest(shares: np.ndarray, classes: Sequence[str], worst: int, absent: Sequence[str]) -> str:
    """List the largest shares (C, C) off the diagonal, and the classes that no pixel has."""
    others = np.nan_to_num(shares * ~np.eye(len(classes), dtype=bool))
    order = np.argsort(-others, axis=None, kind="stable")[:worst]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(order, others.shape)) if others[i, j] > 0]
    lines = [
        "Largest mix-ups",
        *(f"{others[i, j]:5.1f} %  {classes[i]} \N{RIGHTWARDS ARROW} {classes[j]}" for i, j in pairs),
    ]
    if absent:
        named = [*absent[:8], *[f"{len(absent) - 8} more"] * (len(absent) > 8)]
        lines += ["", "No pixel of", *named]
    return "\n".join(lines)
