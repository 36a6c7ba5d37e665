"""One figure of three images with their masks over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from ..audit.overlays import both_readings, labelled, overlay, side_by_side
from .masks import VOID, Masks, index_mask
from .pair import Pair

ROW = 18  # pixels of a line of text
WIDTH = 150  # pixels of an entry of the legend
MOST = 60  # classes in the legend


def overlay_sheet(root: Path, pairs: Sequence[Pair], masks: Masks, palette: Sequence[Sequence[int]]) -> Image.Image:
    """Draw images above the same images under their masks, with the classes' colours below.

    Void is left unpainted.

    Args:
        root: the data set's folder.
        pairs: images and masks to draw.
        masks: what the masks hold.
        palette: colour of each class.
    """
    above, below, seen = [], [], set()
    table = np.zeros((2**16, 3), np.uint8)
    table[: len(palette)] = palette
    for pair in pairs:
        labels = index_mask(root, pair, masks)
        stored, upright = both_readings(str(root / pair.image))
        image = upright if upright.size == labels.shape[::-1] else stored
        seen.update(np.unique(labels).tolist())
        above.append(labelled(image, pair.image.as_posix()))
        below.append(labelled(overlay(image, labels, table[labels], labels != VOID), pair.mask.as_posix()))
    rows = [side_by_side(above), side_by_side(below)]
    names = [(number, masks.names[number]) for number in sorted(seen) if number < len(masks.names)]
    rows.append(_legend(names[:MOST], palette, rows[0].width))
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _legend(names: Sequence[tuple[int, str]], palette: Sequence[Sequence[int]], width: int) -> Image.Image:
    columns = max(1, width // WIDTH)
    legend = Image.new("RGB", (width, ROW * -(-len(names) // columns) + 4), "white")
    pen = ImageDraw.Draw(legend)
    for at, (number, name) in enumerate(names):
        left, top = at % columns * WIDTH, at // columns * ROW + 2
        pen.rectangle((left + 2, top + 2, left + 14, top + 14), fill=tuple(palette[number]), outline="black")
        pen.text((left + 20, top + 2), f"{number} {name}", fill="black")
    return legend
