"""Check of palette masks for class numbers that change meaning between files."""

from __future__ import annotations

from typing import Optional

import numpy as np

from .findings import Finding

Colour = tuple[int, ...]


class Palettes:
    """Colours of the numbers in the masks seen so far.

    A program that makes a separate palette for each colour mask numbers the colours in another order in every file: the
    colours look right, but the numbers, which training reads, mean nothing. Then a colour has several numbers
    (``palettes``). If only a number has several colours, the masks may be right, because training reads no colours
    (``colours``).
    """

    def __init__(self) -> None:
        self._colours: dict[int, tuple[Colour, str]] = {}
        self._numbers: dict[Colour, tuple[int, str]] = {}

    def compare(self, path: str, palette: Optional[np.ndarray], histogram: np.ndarray) -> list[Finding]:
        """Compare a mask's colours with those of earlier masks, and return the worse finding, if any.

        Args:
            path: path of the mask.
            palette: colours of the mask, (N, 3); None for a mask without palette.
            histogram: number of pixels of each value.
        """
        if palette is None:
            return []
        colours: list[Colour] = [tuple(colour) for colour in palette.tolist()]
        found = []
        for value in np.flatnonzero(histogram[: len(colours)]).tolist():
            colour = colours[value]
            number, first = self._numbers.setdefault(colour, (value, path))
            if number != value and colours[number : number + 1] != [colour]:
                return [Finding("palettes", path, f"colour {colour} is label {value}, in {first} it is label {number}")]
            known, first = self._colours.setdefault(value, (colour, path))
            if colour != known:
                found.append(Finding("colours", path, f"label {value} is {colour}, in {first} it is {known}"))
        return found[:1]
