"""Output of predictions: a figure for people, and a label map for machines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Optional

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from PIL import Image

from .class_names import PLAIN, all_shown
from .image_rows import handle, image_rows

LETTER = 0.075  # width of a letter of a class's name, in inches


def class_shares(labels: np.ndarray, num_classes: int) -> list[tuple[int, float]]:
    """Return the classes of a label map (H, W) with their shares of its pixels, the largest first."""
    counts = np.bincount(labels.ravel(), minlength=num_classes)
    order = np.argsort(-counts, kind="stable")
    return [(int(i), counts[i] / labels.size) for i in order if counts[i]]


def percent(share: float) -> str:
    """Write a share as a percentage that is never a bare zero."""
    return f"{100 * share:.1f} %" if share >= 0.0005 else "<0.1 %"


class Painted(NamedTuple):
    """Prediction to draw.

    Attributes:
        image: RGB image, (H, W, 3) uint8.
        labels: predicted labels (H, W).
        truth: true labels (H, W), labels that are no class are void; None if they are unknown.
    """

    image: np.ndarray
    labels: np.ndarray
    truth: Optional[np.ndarray] = None


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
    return predictions_picture([Painted(image, labels)], classes, palette, title, opacity)


@rc_context(PLAIN)
def predictions_picture(
    rows: Sequence[Painted], classes: Sequence[str], palette: np.ndarray, title: str, opacity: float = 0.6
) -> Figure:
    """Draw a row for each image: the image, its true classes if known, and its predicted ones, above one legend.

    Args:
        rows: predictions; all with true labels, or all without.
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        title: title above.
        opacity: opacity of the paint, 0 to 1.
    """
    classes = all_shown(classes)
    panels = 2 if rows[0].truth is None else 3
    found = class_shares(np.concatenate([row.labels.ravel() for row in rows]), len(classes))
    true = [row.truth[(row.truth >= 0) & (row.truth < len(classes))] for row in rows if row.truth is not None]
    missed = np.setdiff1d(np.concatenate(true), [i for i, _ in found]).tolist() if true else []
    handles = [handle(palette[i], f"{classes[i]}  {percent(share)}") for i, share in found]
    handles += [handle(palette[i], f"{classes[i]}  not predicted") for i in missed]
    figure, grid, inches = image_rows([row.labels.shape for row in rows], panels, handles, title)
    for axes, row in zip(grid, rows):
        _draw(axes, row, classes, palette, opacity, LETTER / inches)
    return figure


def _draw(
    axes: Sequence[Axes], row: Painted, classes: Sequence[str], palette: np.ndarray, opacity: float, letter: float
) -> None:
    """Fill a row: the image, and the labels of the others painted over it, with names of ``letter`` pixels a letter."""
    labels = [row.labels] if row.truth is None else [row.truth, row.labels]
    axes[0].imshow(row.image)
    stroke = [withStroke(linewidth=2, foreground="black")]
    for axis, each in zip(axes[1:], labels):
        axis.imshow(paint(row.image, each, palette, opacity))
        for i, (x, y) in name_places(each, classes, letter):
            axis.text(x, y, classes[i], color="white", fontsize=9, ha="center", va="center", path_effects=stroke)
    for axis in axes:
        axis.axis("off")


def paint(image: np.ndarray, labels: np.ndarray, palette: np.ndarray, opacity: float) -> np.ndarray:
    """Paint the classes' colours over an image (H, W, 3), with a white line between classes; void stays as it is."""
    known = (labels >= 0) & (labels < len(palette))
    painted = ((1 - opacity) * image + opacity * palette[np.where(known, labels, 0)]).round().astype(np.uint8)
    painted[~known] = image[~known]
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
    for i in np.intersect1d(labels, range(len(classes))):
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
