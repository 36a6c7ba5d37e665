"""Figure of the demo: predictions, nearest prompts and attention to prompts."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import fill
from typing import Any, NamedTuple, Optional, Union

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from .boxes import draw_objects
from .class_names import PLAIN, all_shown
from .detections import Detections

# Title of each column, and what it shows.
IMAGE = ("image", "from the validation set")
LABELS = (IMAGE, ("truth", "its mask, a colour for each class"), ("prediction", "of the trained model"))
OBJECTS = (IMAGE, ("truth", "its objects, a colour for each class"), ("prediction", "boxes, names, scores in percent"))
NEAREST = ("nearest prompt", "most similar prompt of each patch")
ATTENTION = ("attention to prompts", "how much each patch looks at prompts")
COLUMN = 2.4  # inches
ADDED = ("added by prompts", "how much prompts change each patch")


class Row(NamedTuple):
    """One image of the figure.

    Attributes:
        image: RGB, (H, W, 3) uint8.
        truth: true labels (H, W), labels that are no class are void; of a detector, the true objects.
        prediction: predicted labels (H, W), or objects.
        attention: share of each patch's attention that is on the prompts, (h, w); for zero-start prompts, the norm of
            their contribution relative to that of the output.
        nearest: most similar prompt of each patch, (h, w); None without guidance.
        extent: height and width of the image in patches; less than h and w if the last patches extend beyond it.
    """

    image: np.ndarray
    truth: Union[np.ndarray, Detections]
    prediction: Union[np.ndarray, Detections]
    attention: np.ndarray
    nearest: Optional[np.ndarray]
    extent: tuple[float, float]


def prompt_colours(assigned: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return colours of M prompts, (M, 3): that of their class for prompts with one class, else shades of grey.

    Args:
        assigned: classes of each prompt, (M, C) bool.
        palette: colours of the classes, (C, 3) in 0..1.
    """
    shared = assigned.sum(axis=1) != 1
    colours = palette[assigned.argmax(axis=1)]
    shades = colormaps["turbo" if shared.all() else "gray"](np.linspace(0.3, 0.85, shared.sum()))
    colours[shared] = shades[:, :3]
    return colours


@rc_context(PLAIN)
def demo_sheet(
    rows: Sequence[Row], classes: Sequence[str], palette: np.ndarray, assigned: np.ndarray, zero_start: bool = False
) -> Figure:
    """Draw a row for each image: image, truth, prediction, nearest prompt (with guidance) and attention to prompts.

    Args:
        rows: images, all with a nearest prompt, or all without.
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        assigned: classes of each prompt, (M, C) bool; (0, C) without guidance.
        zero_start: whether the rows hold contributions of zero-start prompts.
    """
    classes = all_shown(classes)
    palette = np.asarray(palette) / 255
    colours = prompt_colours(assigned, palette)
    guided = rows[0].nearest is not None
    last, unit = ATTENTION, "% of a patch's attention"
    if zero_start:
        last, unit = ADDED, "% of a patch's attention output"
    detects = isinstance(rows[0].truth, Detections)
    columns = [*(OBJECTS if detects else LABELS), *[NEAREST] * guided, last]
    shown = [each for row in rows for each in (row.truth, row.prediction)]
    seen = np.unique(np.concatenate([_labels(each).ravel() for each in shown]))
    class_handles = [Patch(color=palette[c], label=classes[c]) for c in seen if c < len(classes)]
    handles = prompt_handles(assigned, classes, colours)
    lines = max(len(class_handles) / 3, sum(1 + str(handle.get_label()).count("\n") for handle in handles))

    tall, lowest = COLUMN * rows[0].image.shape[0] / rows[0].image.shape[1] + 0.2, 0.4 + max(0.8, 0.17 * lines)
    size = (COLUMN * len(columns), tall * len(rows) + lowest)
    figure = Figure(figsize=size, dpi=130, layout="constrained")
    grid = figure.add_gridspec(len(rows) + 1, len(columns), height_ratios=[tall] * len(rows) + [lowest])
    most = 100 * max(row.attention.max() for row in rows)
    for y, row in enumerate(rows):
        axes = [figure.add_subplot(grid[y, x], xticks=[], yticks=[]) for x in range(len(columns))]
        heat = draw_row(axes, row, classes, palette, colours, most)
        for axis, (title, meaning) in zip(axes, columns if y == 0 else ()):
            axis.set_title(meaning, fontsize=7)
            axis.annotate(title, (0.5, 1), (0, 16), "axes fraction", "offset points", ha="center", fontsize=11)

    legend(figure.add_subplot(grid[-1, :2]), "classes", class_handles, columns=3)
    if guided:
        alone = assigned.sum(axis=1) == 1
        grey = " (grey: several share one)" if alone.any() and not alone.all() else ""
        legend(figure.add_subplot(grid[-1, 2:-1]), f"prompts and their classes{grey}", handles, columns=1)
    bar = figure.add_subplot(grid[-1, -1])
    bar.axis("off")
    scale = bar.inset_axes((0.05, 0.8, 0.9, 0.1))
    figure.colorbar(heat, cax=scale, orientation="horizontal", label=unit)
    return figure


def draw_row(
    axes: Sequence[Axes], row: Row, classes: Sequence[str], palette: np.ndarray, colours: np.ndarray, most: float
) -> AxesImage:
    """Fill a row of the figure; return its heat map, whose scale ends at ``most`` percent."""
    height, width = row.image.shape[:2]
    down, across = (count / covered for count, covered in zip(row.attention.shape, row.extent))
    patches = (0, across * width, down * height, 0)
    axes[0].imshow(row.image)
    for axis, shown in zip(axes[1:3], (row.truth, row.prediction)):
        if isinstance(shown, Detections):
            scores = shown.scores if shown is row.prediction else ()
            texts = [classes[label] for label in shown.labels]
            texts[: len(scores)] = [f"{text} {100 * score:.0f}" for text, score in zip(texts, scores)]
            draw_objects(axis, row.image, shown, texts, 255 * palette, COLUMN / width, font=6)
        else:
            axis.imshow(paint(shown, palette), extent=(0, width, height, 0))
    if not isinstance(row.truth, Detections) and not isinstance(row.prediction, Detections):
        known = row.truth < len(palette)
        right = (row.prediction == row.truth)[known].mean() if known.any() else np.nan
        axes[2].set_xlabel(f"{right:.0%} of pixels right" if known.any() else "", fontsize=8, labelpad=2)
    if row.nearest is not None:
        axes[3].imshow(colours[row.nearest], extent=patches)
    heat = axes[-1].imshow(100 * row.attention, extent=patches, cmap="magma", vmin=0, vmax=most)
    for axis in axes:
        axis.set(xlim=(0, width), ylim=(height, 0))
    return heat


def _labels(shown: Union[np.ndarray, Detections]) -> np.ndarray:
    return shown.labels if isinstance(shown, Detections) else shown


def paint(labels: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """Return the colours (H, W, 3) of labels (H, W), void in white."""
    return np.vstack([palette, np.ones((1, 3))])[np.where(labels < len(palette), labels, len(palette))]


def prompt_handles(assigned: np.ndarray, classes: Sequence[str], colours: np.ndarray, most: int = 6) -> list[Patch]:
    """Return legend entries of prompts (M, C) with up to ``most`` classes each; equal prompts share an entry."""
    together: dict[tuple[int, ...], list[int]] = {}
    for prompt, own in enumerate(assigned):
        together.setdefault(tuple(np.flatnonzero(own)), []).append(prompt)
    handles = []
    for own, prompts in together.items():
        names = [classes[c] for c in own[:most]] + [f"{len(own) - most} more"] * (len(own) > most)
        label = f"{', '.join(map(str, prompts))}: {', '.join(names) or 'no class'}"
        handles.append(Patch(color=colours[prompts[0]], label=fill(label, 44)))
    return handles


def legend(axes: Axes, title: str, handles: Sequence[Patch], columns: int) -> None:
    """Fill axes with only a legend."""
    axes.axis("off")
    style: dict[str, Any] = dict(loc="upper left", frameon=False, fontsize=8, alignment="left")
    axes.legend(handles=handles, title=title, ncols=columns, **style)
