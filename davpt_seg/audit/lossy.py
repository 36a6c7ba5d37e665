"""Masks whose labels were mixed along borders, by interpolation or by lossy compression."""

from __future__ import annotations

import numpy as np

FEWEST = 20  # ramps; fewer may be an accident
LINES = 256  # rows, and columns, that are examined
FLAT = 0.5  # smallest share of pixels equal to both neighbours in a label map of regions


def looks_interpolated(values: np.ndarray) -> bool:
    """Return whether values at a mask's borders lie between the values of the adjacent regions.

    Between regions of 1 and 9, interpolation leaves pixels of 3 or 7, though no object there has these labels. In an
    intact mask nearly every border is a jump between two flat sides. A single pixel of 1 between 0 and 2 proves
    nothing: outlines of cells and thin layers are numbered so.

    Args:
        values: integers (H, W).
    """
    height, width = values.shape
    rows = _borders(values[:: max(1, height // LINES)])
    columns = _borders(values.T[:: max(1, width // LINES)])
    ramps, jumps = rows[0] + columns[0], rows[1] + columns[1]
    return ramps >= FEWEST and ramps > jumps and min(rows[2], columns[2]) >= FLAT


def _borders(values: np.ndarray) -> tuple[int, int, float]:
    """Return the numbers of ramps and jumps along rows, and the share of pixels that equal both neighbours."""
    if values.shape[1] < 4:
        return 0, 0, 0.0
    steps = np.diff(values.astype(np.int32), axis=1)  # (H, W - 1)
    sign = np.sign(steps)
    rises = sign[:, 1:] * sign[:, :-1] > 0  # strictly rising or falling over three pixels
    far = np.abs(steps[:, 1:] + steps[:, :-1]) >= 3  # or over more pixels
    far[:, 1:] |= rises[:, :-1]
    far[:, :-1] |= rises[:, 1:]
    ramps = int((rises & far).sum())
    big = np.abs(steps[:, 1:-1]) >= 2
    jumps = int((big & (steps[:, :-2] == 0) & (steps[:, 2:] == 0)).sum())
    flat = float(((steps[:, 1:] == 0) & (steps[:, :-1] == 0)).mean())
    return ramps, jumps, flat
