"""Figure of the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from .class_names import PLAIN, all_shown

ANNOTATED = 30  # with more classes, numbers in the cells could not be read


@rc_context(PLAIN)
def confusion_picture(matrix: np.ndarray, classes: Sequence[str], counted: str = "pixels") -> Figure:
    """Draw a confusion matrix in percent of each true class, and list the largest confusions.

    Args:
        matrix: pixels of class i that were predicted as class j, (C, C).
        classes: names of the C classes.
        counted: name of what the matrix counts, in the plural.
    """
    classes = all_shown(classes)
    pixels = matrix.sum(axis=1, keepdims=True)
    shares = np.divide(100 * matrix, pixels, where=pixels > 0, out=np.full(matrix.shape, np.nan))
    few = len(classes) <= ANNOTATED
    side = (0.5 if few else 0.16) * len(classes) + 0.9 + 0.08 * max(map(len, classes))  # cells, titles, names
    figure = Figure(figsize=(side + 3.2, side), dpi=110, layout="constrained")
    axes, text = figure.subplots(1, 2, width_ratios=[side, 3.2])
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
    for cell in display.text_.ravel() if few else ():
        cell.set_visible(cell.get_text() not in ("0", "nan"))
    axes.tick_params(labelsize=9 if few else 7, length=2)
    axes.set(xlabel="taken for", ylabel="true class", aspect="auto")  # the figure's own sides make cells square
    axes.set_title(f"What each class's {counted} were taken for (% of the row)", fontsize=11)

    text.axis("off")
    absent = [name for name, count in zip(classes, pixels[:, 0]) if count == 0]
    lines = largest(shares, classes, worst=int(4 * side) - 18) + absence(absent, counted)
    text.text(0, 1, "\n".join(lines), va="top", fontsize=9, transform=text.transAxes)
    scale = text.inset_axes((0, 0.12 if few else 0.05, 0.9, 0.2 / side))
    figure.colorbar(display.im_, cax=scale, orientation="horizontal", label=f"% of the true class's {counted}")
    return figure


def largest(shares: np.ndarray, classes: Sequence[str], worst: int) -> list[str]:
    """List the largest shares (C, C) off the diagonal, in percent, below a heading."""
    others = np.nan_to_num(shares * ~np.eye(len(classes), dtype=bool))
    order = np.argsort(-others, axis=None, kind="stable")[:worst]
    pairs = [(i, j) for i, j in zip(*np.unravel_index(order, others.shape)) if others[i, j] > 0]
    arrow = "\N{RIGHTWARDS ARROW}"
    return ["Largest mix-ups", *(f"{others[i, j]:.1f} %  {classes[i]} {arrow} {classes[j]}" for i, j in pairs)]


def absence(absent: Sequence[str], counted: str = "pixels", most: int = 8) -> list[str]:
    """List classes without any pixel, or image, below a heading."""
    more = [f"and {len(absent) - most} more"] * (len(absent) > most)
    return ["", f"No {counted} of", *absent[:most], *more] if absent else []
