"""A pair of an image and its mask."""

from __future__ import annotations

from pathlib import PurePath
from typing import NamedTuple


class Pair(NamedTuple):
    """An image and its mask, relative to the data set's folder; ``name`` is what the two have in common."""

    name: str
    image: PurePath
    mask: PurePath
