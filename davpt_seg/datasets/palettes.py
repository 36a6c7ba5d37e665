"""Masks with a palette, whose numbers must have the same colour in all of them."""

from __future__ import annotations

from typing import Optional

import numpy as np

from .findings import Finding


class Palettes:
    """The colour of each number in the masks seen so far.

    A program that makes a palette of each colour mask by itself numbers the colours in another order in every file: the
    colours look right, and the numbers, which training reads, mean nothing.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[tuple[int, ...], str]] = {}

    def compare(self, path: str, palette: Optional[np.ndarray], histogram: np.ndarray) -> list[Finding]:
        """Compare a mask's colours with those of the masks before it.

        Args:
            path: of the mask.
            palette: its (N, 3) colours; None for a mask without palette.
            histogram: its number of pixels of each value.
        """
        if palette is None:
            return []
        for value in np.flatnonzero(histogram).tolist():
            if value < len(palette):
                colour = tuple(palette[value].tolist())
                known, first = self._known.setdefault(value, (colour, path))
                if colour != known:
                    return [Finding("palettes", path, f"label {value} is {colour}, in {first} it is {known}")]
        return []
