"""Figure of detected objects: boxes, masks, names and scores, above a legend of their classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

import cv2
import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from .class_names import PLAIN, all_shown
from .image_rows import handle

if TYPE_CHECKING:
    from .detections import Detections

LARGEST = (9.0, 7.0)  # width and height of the image, in inches
NARROWEST = 4.0  # inches, for the legend
COLUMN = 2.0  # inches of a legend's entry
FONT = 8  # points
LETTER, LINE = 0.62 / 72, 1.6 / 72  # width of a letter and height of a label, in inches, for each point of the font


@rc_context(PLAIN)
def boxes_picture(
    image: np.ndarray,
    found: Detections,
    classes: Sequence[str],
    palette: np.ndarray,
    title: str,
    opacity: float = 0.6,
    texts: Optional[Sequence[str]] = None,
) -> Figure:
    """Draw an image with the objects in it.

    Args:
        image: RGB image, (H, W, 3) uint8.
        found: objects to draw, highest score first.
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        title: title above.
        opacity: opacity of masks, 0 to 1.
        texts: label of each object; its name and score by default.
    """
    names, (height, width) = all_shown(classes), image.shape[:2]
    inches = min(LARGEST[0] / width, LARGEST[1] / height)  # of a pixel
    counts = Counter(found.labels.tolist()).most_common()
    wide = max(width * inches, NARROWEST)
    columns = max(1, int(wide / COLUMN))
    legend = 0.2 + 0.22 * -(-len(counts) // columns)
    figure = Figure(figsize=(wide + 0.2, height * inches + legend + 0.4), dpi=130, layout="constrained")
    figure.suptitle(title, fontsize=11)
    axes = figure.add_subplot()
    if texts is None:
        texts = [f"{names[label]} {score:.2f}" for label, score in zip(found.labels, found.scores)]
    draw_objects(axes, image, found, texts, palette, inches, opacity)
    handles = [handle(palette[label], f"{count} {names[label]}") for label, count in counts]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=columns, frameon=False, fontsize=10)
    return figure


def draw_objects(
    axes: Axes,
    image: np.ndarray,
    found: Detections,
    texts: Sequence[str],
    palette: np.ndarray,
    inches: float,
    opacity: float = 0.6,
    font: float = FONT,
) -> None:
    """Draw an image with the boxes, masks and labels of objects.

    Args:
        axes: where to draw; its edges become those of the image.
        image: RGB image, (H, W, 3) uint8.
        found: objects, highest score first.
        texts: label of each object.
        palette: colours of the C classes, (C, 3) in 0..255.
        inches: size of a pixel of the image in the figure.
        opacity: opacity of masks, 0 to 1.
        font: size of labels, in points.
    """
    height, width = image.shape[:2]
    axes.imshow(_painted(image, found, palette, opacity), extent=(0, width, height, 0))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.axis("off")
    letter = np.array([LETTER, LINE]) * font / inches
    sizes = np.array([(len(text), 1) for text in texts]).reshape(-1, 2) * letter
    places = label_places(found.boxes, sizes, (width, height))
    for i in reversed(range(len(found))):  # the highest score is drawn last, above the others
        left, top, right, bottom = found.boxes[i]
        colour = palette[found.labels[i]] / 255
        edges = Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour, linewidth=1.6)
        edges.set_path_effects([withStroke(linewidth=2.8, foreground="white")])
        axes.add_patch(edges)
    for i in reversed(range(len(found))):
        colour = palette[found.labels[i]] / 255
        box = dict(facecolor=colour, edgecolor="none", pad=1.0)
        (x, y), ink = places[i], "black" if colour @ (0.299, 0.587, 0.114) > 0.5 else "white"
        axes.text(x, y, texts[i], color=ink, fontsize=font, ha="left", va="top", bbox=box, clip_on=True)


def label_places(boxes: np.ndarray, sizes: np.ndarray, image: tuple[int, int]) -> np.ndarray:
    """Return the upper left corner of each object's label, (n, 2), so that labels cover each other as little as may be.

    A label is at the upper edge of its box, above or inside; or at the lower edge, below or inside; at the left or
    right end. The first of these without overlap with earlier labels is taken, or the one with the least.

    Args:
        boxes: left, top, right and bottom edges, (n, 4), the most important first.
        sizes: widths and heights of the labels, (n, 2).
        image: width and height of the image, which no label leaves.
    """
    placed = np.zeros((0, 4))
    for (left, top, right, bottom), (width, height) in zip(boxes, sizes):
        rows = (top - height, top, bottom, bottom - height)
        corners = np.array([(x, y) for y in rows for x in (left, right - width)])
        corners = corners.clip(0, np.maximum(np.array(image) - (width, height), 0))
        candidates = np.hstack([corners, corners + (width, height)])
        covered = [_overlap(candidate, placed) for candidate in candidates]
        placed = np.vstack([placed, candidates[int(np.argmin(covered))]])
    return placed[:, :2]


def _overlap(box: np.ndarray, others: np.ndarray) -> float:
    """Return the area that a box (4,) shares with others (n, 4), in total."""
    sides = np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])
    return float(sides.clip(0).prod(axis=1).sum())


def _painted(image: np.ndarray, found: Detections, palette: np.ndarray, opacity: float) -> np.ndarray:
    """Paint masks over an image, the highest score last, with their outlines."""
    if found.masks is None:
        return image
    painted = image.copy()
    for i in reversed(range(len(found))):
        mask, colour = found.masks[i], palette[found.labels[i]]
        painted[mask] = ((1 - opacity) * painted[mask] + opacity * colour).round()
        outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(painted, outlines, -1, (255, 255, 255), 1)
    return painted
