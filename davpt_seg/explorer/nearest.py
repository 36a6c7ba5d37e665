"""Patches of several images that attend most to a prompt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

from .seen import Seen


class NearPatch(NamedTuple):
    """A patch and its attention on a prompt.

    Attributes:
        image: index of the image among those given.
        row, column: the patch.
        share: its attention on the prompt, as :meth:`Seen.prompt_shares`.
    """

    image: int
    row: int
    column: int
    share: float


def nearest_patches(
    seen: Sequence[Seen], block: int, prompt: int, head: Optional[int] = None, count: int = 8
) -> list[NearPatch]:
    """Return the patches that attend most to a prompt, highest first; of equal ones, the earlier image and patch.

    Args:
        seen: images through one model.
        block: index of the block, from 0.
        prompt: index of the prompt, from 0.
        head: attention head, from 0; None for the mean over heads.
        count: largest number of patches.

    Raises:
        InputError: as :meth:`Seen.patch_map`.
    """
    found: list[NearPatch] = []
    for image, each in enumerate(seen):
        shares = each.patch_map(block, prompt, head)
        highest = np.argsort(-shares, axis=None, kind="stable")[:count]
        rows, columns = np.unravel_index(highest, shares.shape)
        found += [NearPatch(image, int(r), int(c), float(shares[r, c])) for r, c in zip(rows, columns)]
    return sorted(found, key=lambda patch: -patch.share)[:count]
