"""Batches of indices with keys of random numbers, from any position of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch.utils.data import BatchSampler

from .keyed_random import KeyedIndex, KeyedSampler

BY_ASPECT = "mmdet.datasets.samplers.batch_sampler.AspectRatioBatchSampler"


def is_followed(batch_sampler: Any) -> bool:
    """Return whether a batch sampler is torch's, or mmdet's that groups images by aspect ratio.

    Their batches depend on the sampler's sequence alone, and both are built from a sampler, a batch size and
    ``drop_last``.
    """
    kind = type(batch_sampler)
    return kind is BatchSampler or f"{kind.__module__}.{kind.__name__}" == BY_ASPECT


class KeyedBatches(BatchSampler):
    """Batch sampler that draws from a keyed sampler and begins after a number of batches.

    Batches that are skipped are formed, since those after them depend on them, but not loaded.

    Args:
        batch_sampler: batch sampler to draw like, see :func:`is_followed`.
        sampler: its sampler, with keys.
    """

    def __init__(self, batch_sampler: BatchSampler, sampler: KeyedSampler) -> None:
        super().__init__(sampler, batch_sampler.batch_size, batch_sampler.drop_last)
        self.sampler: KeyedSampler = sampler
        self._kind = type(batch_sampler)
        self.skip = 0

    def __iter__(self) -> Iterator[list[KeyedIndex]]:  # type: ignore[override]
        """Iterate, the first time without the first ``skip`` batches."""
        skip, self.skip = self.skip, 0
        # A new one each time: mmdet's keeps the unfinished batches of an iteration that was left.
        for place, batch in enumerate(self._kind(self.sampler, self.batch_size, self.drop_last)):
            if place >= skip:
                yield batch  # type: ignore[misc]
