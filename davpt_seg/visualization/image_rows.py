"""Layout of a figure with a row for each image: the image, its truth and its prediction, above one legend."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch

PANEL = (6.0, 7.0)  # largest width and height of an image, in inches
NARROWEST = 3.0  # inches, for the legend
COLUMNS = 4


def image_rows(
    sizes: Sequence[tuple[int, int]], panels: int, handles: Sequence[Patch], title: str
) -> tuple[Figure, np.ndarray, float]:
    """Return a figure with empty axes for the panels of n images.

    Args:
        sizes: height and width of each image in pixels.
        panels: panels of each image; three are titled image, ground truth and prediction.
        handles: entries of the legend.
        title: title above.

    Returns:
        The figure, its axes (n, panels), and the size of a pixel in inches, which is the same for all images.
    """
    inches = min(PANEL[0] / max(width for _, width in sizes), PANEL[1] / max(height for height, _ in sizes))
    inches /= min(len(sizes), 2)  # a panel of several images is an overview
    wide, tall = inches * max(width for _, width in sizes), [inches * height for height, _ in sizes]
    columns = max(1, round(COLUMNS * panels / 2 * wide / PANEL[0]))
    legend = 0.2 + 0.22 * -(-len(handles) // columns)
    size = (max(panels * wide + 0.3, NARROWEST), sum(tall) + legend + 0.35 + 0.25 * (panels == 3))
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(len(sizes), panels, squeeze=False, height_ratios=tall)
    if panels == 3:
        for axis, name in zip(grid[0], ("image", "ground truth", "prediction")):
            axis.set_title(name, fontsize=9)
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    return figure, grid, inches


def handle(colour: np.ndarray, label: str) -> Patch:
    """Return the entry of a legend: a colour (3,) in 0..255, and a text."""
    return Patch(facecolor=tuple((colour / 255).tolist()), edgecolor="0.4", linewidth=0.5, label=label)
