"""Figure of the objects found in a few images, beside the true ones."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from .boxes import draw_objects
from .class_names import PLAIN, all_shown
from .detections import Detected
from .image_rows import handle, image_rows

FONT = 6  # points


@rc_context(PLAIN)
def objects_panel(rows: Sequence[Detected], classes: Sequence[str], palette: np.ndarray, title: str) -> Figure:
    """Draw a row for each image: the image, its true objects if known, and those found, above one legend.

    Below an image in which nothing is drawn, a line has the highest score.

    Args:
        rows: objects found; all with true objects, or all without.
        classes: names of the C classes.
        palette: colours of the classes, (C, 3) in 0..255.
        title: title above.
    """
    names = all_shown(classes)
    known = rows[0].truth is not None
    found = Counter(label for row in rows for label in row.found.labels.tolist())
    true = Counter(label for row in rows if row.truth is not None for label in row.truth.labels.tolist())
    handles = [
        handle(palette[i], f"{names[i]}  {found[i]} found" + f", {true[i]} true" * known) for i in sorted(found | true)
    ]
    figure, grid, inches = image_rows([row.image.shape[:2] for row in rows], 2 + known, handles, title)
    for axes, row in zip(grid, rows):
        axes[0].imshow(row.image)
        axes[0].axis("off")
        if row.truth is not None:
            texts = [names[label] for label in row.truth.labels]
            draw_objects(axes[1], row.image, row.truth, texts, palette, inches, font=FONT)
        texts = [f"{names[label]} {score:.2f}" for label, score in zip(row.found.labels, row.found.scores)]
        draw_objects(axes[-1], row.image, row.found, texts, palette, inches, font=FONT)
        if not texts:
            best = "no object" if row.highest is None else f"highest score: {row.highest:.2f}"
            axes[-1].text(0.5, 0, best, transform=axes[-1].transAxes, fontsize=8, ha="center", va="top")
    return figure
