"""Seeded division of pairs into training and validation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from .pair import Pair

SHARE = 5  # one in five is for validation


def divided(pairs: Sequence[Pair], seed: int, where: str) -> tuple[list[Pair], list[Pair]]:
    """Draw a fifth of the pairs for validation; the same seed and names give the same split.

    Raises:
        DataError: fewer than two pairs.
    """
    if len(pairs) < 2:
        raise DataError(f"{where}: {len(pairs)} image with a mask; at least two are needed, to train and to validate")
    pairs = sorted(pairs, key=lambda pair: pair.name)
    drawn = np.random.default_rng(seed).choice(len(pairs), max(1, len(pairs) // SHARE), replace=False)
    chosen = set(drawn.tolist())
    return (
        [pair for at, pair in enumerate(pairs) if at not in chosen],
        [pair for at, pair in enumerate(pairs) if at in chosen],
    )
