"""Masks with a palette: numbers that mean another class in another file have their colours mixed up."""

from __future__ import annotations

from typing import Optional

import numpy as np

from .findings import Finding

Colour = tuple[int, ...]


class Palettes:
    """The colours of the numbers in the masks seen so far.

    A program that makes a palette of each colour mask by itself numbers the colours in another order in every file: the
    colours look right, and the numbers, which training reads, mean nothing. Then a colour has several numbers
    (``palettes``). Numbers that have another colour in another file, without this, may well be right: training reads no
    colours (``colours``).
    """

    def __init__(self) -> None:
        self._colours: dict[int, tuple[Colour, str]] = {}
        self._numbers: dict[Colour, tuple[int, str]] = {}

    def compare(self, path: str, palette: Optional[np.ndarray], histogram: np.ndarray) -> list[Finding]:
        """Compare a mask's colours with those of the masks before it; the worse finding, if any.

        Args:
            path: of the mask.
            palette: its (N, 3) colours; None for a mask without palette.
            histogram: its number of pixels of each value.
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
