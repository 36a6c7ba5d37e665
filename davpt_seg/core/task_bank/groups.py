"""Images that run through a block together."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class Group(NamedTuple):
    """Images of a batch that run together.

    Attributes:
        rows: their places in the batch.
        tokens: (B of the group, N, D).
    """

    rows: tuple[int, ...]
    tokens: Tensor

    def only(self, places: Sequence[int]) -> Tensor:
        """Return the tokens of some places in the group, in rising order."""
        if len(places) == len(self.rows):
            return self.tokens
        return self.tokens.index_select(0, torch.tensor(places, device=self.tokens.device))


def places_by(rows: Sequence[int], key: Callable[[int], Hashable]) -> dict[Hashable, list[int]]:
    """Return the places of rows that have the same key."""
    found: dict[Hashable, list[int]] = {}
    for place, row in enumerate(rows):
        found.setdefault(key(row), []).append(place)
    return found


def regrouped(groups: Sequence[Group], key: Callable[[int], Hashable], stays: Callable[[int], bool]) -> list[Group]:
    """Split and join groups, so that the images of each have the same key.

    Args:
        groups: groups of images.
        key: a row's key.
        stays: whether a row is still of interest.
    """
    found: dict[Hashable, list[tuple[list[int], Tensor]]] = {}
    for group in groups:
        staying = [place for place, row in enumerate(group.rows) if stays(row)]
        by_key = places_by([group.rows[place] for place in staying], key)
        for own, places in by_key.items():
            inside = [staying[place] for place in places]
            found.setdefault(own, []).append(([group.rows[place] for place in inside], group.only(inside)))
    return [
        Group(
            tuple(row for rows, _ in parts for row in rows),
            parts[0][1] if len(parts) == 1 else torch.cat([tokens for _, tokens in parts]),
        )
        for parts in found.values()
    ]
