"""Output of one image's prediction: a figure for people, and a label map for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.patheffects import withStroke
from PIL import Image

from .class_names import PLAIN, all_shown

PANEL = (6.0, 7.0)  # largest width and height of each of the two panels, in inches
LETTER = 0.075  # width of a letter of a class's name, in inches
NARROWEST = 3.0  # inches, for the legend
COLUMNS = 4


def class_shares(labels: np.ndarray, num_classes: int) -> list[tuple[int, float]]:
    """Return the classes of a label map (H, W) with their shares of its pixels, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    order = np.argsort(-counts, kind="stable")
    return [(int(i), counts[i] / labels.size) for i in order if counts[i]]


def percent(share: float) -> str:
    """Write a share as a percentage that is never a bare zero."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "<0.1 %"


@rc_context(PLAIN)
def prediction_picture(
    image: np.ndarray, labels: np.ndarray, classes: Sequence[str], palette: np.ndarray, title: str, opacity: float = 0.6
) -> Figure:
    """Draw an image and its painted prediction, with names on large areas, above a legend of the predicted classes.

    Args:
        image: RGB image, (H, W, 3) uint8.
        labels: predicted labels (H, W).
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        title: title above.
        opacity: opacity of the paint, 0 to 1.
    """
    classes = all_shown(classes)
    height, width = labels.shape
    scale = min(PANEL[0] / width, PANEL[1] / height)
    found = class_shares(labels, len(classes))
    columns = max(1, round(COLUMNS * scale * width / PANEL[0]))
    legend = 0.2 + 0.22 * -(-len(found) // columns)
    figure = Figure(
        figsize=(max(2 * scale * width + 0.3, NARROWEST), scale * height + legend + 0.35), dpi=130, layout="constrained"
    )
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, 2)
    for axes, pixels in zip(panels, (image, paint(image, labels, palette, opacity))):
        axes.imshow(pixels)
        axes.axis("off")
    stroke = [withStroke(linewidth=2, foreground="black")]
    for i, (x, y) in name_places(labels, classes, letter=LETTER / scale):
        panels[1].text(x, y, classes[i], color="white", fontsize=9, ha="center", va="center", path_effects=stroke)
    handles = [
        Patch(facecolor=palette[i] / 255, edgecolor="0.4", linewidth=0.5, label=f"{classes[i]}  {percent(share)}")
        for i, share in found
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    return figure


def paint(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float) -> np.ndarray:
    """Paint the classes' colours over an image (H, W, 3), with a white line between classes."""
    painted = ((1 - opacity) * image + opacity * palette[labels]).round().astype(np.uint8)
    border = np.zeros(labels.shape, dtype=bool)
    border[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    border[1:] |= labels[1:] != labels[:-1]
    painted[border] = 255
    return painted


def name_places(labels: np.ndarray, classes: Sequence[str], letter: float) -> Iterator[tuple[int, tuple[int, int]]]:
    """Yield each class with its pixel (x, y) farthest from other classes; classes without room for a name are skipped.

    Args:
        labels: labels (H, W).
        classes: names of the C classes.
        letter: width of a letter in pixels.
    """
    for i in np.unique(labels):
        depth = cv2.distanceTransform(np.pad(labels == i, 1).astype(np.uint8), cv2.DIST_L2, 3)[1:-1, 1:-1]
        y, x = np.unravel_index(depth.argmax(), depth.shape)
        if 1.2 * depth[y, x] >= letter * max(1.5, len(classes[i]) / 2):
            yield int(i), (int(x), int(y))


def label_map(labels: np.ndarray, palette: np.ndarray) -> Image.Image:
    """Return labels (H, W) as a PNG image whose values are the labels and whose palette has the classes' colours.

    With more than 256 classes, which no palette holds, it is a 16-bit image without colours.
    """
    if len(palette) > 256:
        return Image.fromarray(labels.astype(np.uint16))
    image = Image.fromarray(labels.astype(np.uint8))
    image.putpalette(palette.astype(np.uint8).tobytes())
    return image
