"""One image's prediction: a picture for people, and a label map for machines."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

PANEL = (6.0, 7.0)  # inches that one of the two panels may be wide and high
COLUMNS = 4


def class_shares(labels: np.ndarray, num_classes: int) -> list[tuple[int, float]]:
    """Return the classes of a label map (H, W) with their shares of its pixels, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    order = np.argsort(-counts, kind="stable")
    return [(int(i), counts[i] / labels.size) for i in order if counts[i]]


def percent(share: float) -> str:
    """Write a share as a percentage that is never a bare zero."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "<0.1 %"


def prediction_picture(
    image: np.ndarray, labels: np.ndarray, classes: Sequence[str], palette: np.ndarray, title: str, opacity: float = 0.6
) -> Figure:
    """Draw an image beside its painted self, over a legend of the classes found and their shares.

    Args:
        image: RGB, (H, W, 3) uint8.
        labels: (H, W).
        classes: C names.
        palette: of the classes, (C, 3) in 0..255.
        title: stands above.
        opacity: of the paint, 0 to 1.
    """
    height, width = labels.shape
    scale = min(PANEL[0] / width, PANEL[1] / height)
    found = class_shares(labels, len(classes))
    columns = max(1, round(COLUMNS * scale * width / PANEL[0]))
    legend = 0.35 + 0.24 * -(-len(found) // columns)
    figure = Figure(figsize=(2 * scale * width + 0.3, scale * height + legend + 0.45), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=11)
    painted = (1 - opacity) * image + opacity * palette[labels]
    for axes, pixels in zip(figure.subplots(1, 2), (image, painted.round().astype(np.uint8))):
        axes.imshow(pixels)
        axes.axis("off")
    handles = [
        Patch(facecolor=palette[i] / 255, edgecolor="0.4", linewidth=0.5, label=f"{classes[i]}  {percent(share)}")
        for i, share in found
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    return figure


def label_map(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Turn labels (H, W) into a PNG image whose values are the labels and whose palette shows the classes' colours.

    With more classes than a palette holds (256) it is a 16-bit image without colours.
    """
    if len(palette) > 256:
        return Image.fromarray(labels.astype(np.uint16))
    picture = Image.fromarray(labels.astype(np.uint8))
    picture.putpalette(palette.astype(np.uint8).tobytes())
    return picture
