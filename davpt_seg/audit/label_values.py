"""Values of masks, and the classes that a data set makes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

VOID, WRONG = -1, -2


class Scheme(NamedTuple):
    """Meaning of mask values in a data set.

    Args:
        labels: class of each value, ``VOID`` or ``WRONG``, as ``audit.label_table`` returns it.
        classes: names of the C classes.
        reduce_zero_label: whether 0 is void and every other value is shifted down by one.
    """

    labels: np.ndarray
    classes: tuple[str, ...]
    reduce_zero_label: bool = False

    def of(self, value: int) -> int:
        """Return a value's class, ``VOID`` or ``WRONG``."""
        return int(self.labels[value]) if 0 <= value < len(self.labels) else WRONG

    @property
    def allowed(self) -> str:
        """Return the values of the classes as text."""
        values = np.flatnonzero(self.labels >= 0)
        return f"{values.min()} to {values.max()}" if len(values) else "none"


@dataclass
class SeenValues:
    """Values in the masks of one split.

    ``pixels`` counts pixels by value, ``masks`` the masks that were read, ``void_masks`` the masks without a class;
    ``complete`` is whether all masks were read.
    """

    scheme: Scheme
    pixels: Counter[int] = field(default_factory=Counter)
    masks: int = 0
    void_masks: int = 0
    complete: bool = False

    def add(self, histogram: np.ndarray) -> None:
        """Count one mask, given its number of pixels of each value."""
        held = {int(v): int(histogram[v]) for v in np.flatnonzero(histogram)}
        self.pixels.update(held)
        self.masks += 1
        self.void_masks += all(self.scheme.of(v) == VOID for v in held)

    @property
    def classes(self) -> set[int]:
        """Return the classes that were seen."""
        return {self.scheme.of(v) for v in self.pixels} - {VOID, WRONG}

    @property
    def wrong(self) -> list[int]:
        """Return the values that are neither a class nor void."""
        return sorted(v for v in self.pixels if self.scheme.of(v) == WRONG)


def listed(values: Sequence[int]) -> str:
    """Write sorted values as text: a range, or the first of them."""
    if len(values) > 3 and list(values) == list(range(values[0], values[-1] + 1)):
        return f"{values[0]} to {values[-1]}"
    short = [*map(str, values[:8]), "..."] if len(values) > 9 else [*map(str, values)]
    return ", ".join(short[:-1]) + f" and {short[-1]}" if len(short) > 1 and short[-1] != "..." else ", ".join(short)
