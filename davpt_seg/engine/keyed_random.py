"""Random numbers that depend on where training is, and not on how it got there.

What draws random numbers gets a seed of its own: each training sample (by its place in the sampler's sequence) and each
iteration. So there is no state to save, nothing to replay after a resume, and neither the number of data workers, nor
prefetching, nor validation in between changes what is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

# Keeps the streams of samples and of iterations apart: the second number of a key.
SAMPLES, ITERATIONS = 1, 2


def seed_everything(key: Sequence[int], devices: bool = True) -> None:
    """Seed the generators of Python, NumPy and torch from non-negative integers.

    Args:
        key: keys of one length that differ anywhere give unrelated streams.
        devices: torch's generators of accelerators, too.
    """
    words = np.random.SeedSequence(key).generate_state(8)
    random.seed(words[:2].tobytes())
    np.random.seed(words[2:6])
    seed = int(words[6]) << 32 | int(words[7])
    if devices:
        torch.manual_seed(seed)
    else:
        torch.default_generator.manual_seed(seed)


@contextmanager
def same_random_state_afterwards() -> Iterator[None]:
    """Put the CPU's generators back to where they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class KeyedIndex(int):
    """The index of a sample, with the key of its random numbers: what a sampler can send to data workers."""

    key: tuple[int, ...]

    def __new__(cls, index: int, key: tuple[int, ...]) -> KeyedIndex:
        """Attach a key to an index."""
        self = super().__new__(cls, index)
        self.key = key
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        return int(self), self.key


class KeyedSampler(Sampler[KeyedIndex]):
    """A sampler's indices, each with a key, from any place on.

    Args:
        sampler: of this process; its i-th index is the (i * processes + rank)-th of all, as with MMEngine's samplers.
        seed: shared by all processes.
        rank, processes: of this process, and how many there are. The keys are those of one process that draws all.
    """

    def __init__(self, sampler: Sampler[int], seed: int, rank: int = 0, processes: int = 1) -> None:
        self.sampler = sampler
        self.seed, self.rank, self.processes = seed, rank, processes
        self.epoch = 0
        self.skip = 0

    def set_epoch(self, epoch: int) -> None:
        """Tell the sampler, too."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[KeyedIndex]:
        """Iterate, the first time without the first ``skip`` indices."""
        skip, self.skip = self.skip, 0
        for place, index in enumerate(self.sampler):
            if place >= skip:
                yield KeyedIndex(index, (self.seed, SAMPLES, self.epoch, place * self.processes + self.rank))


class KeyedItems(Dataset[Any]):
    """Reads a data set's samples, each under its key, by torch's way to read a batch (``__getitems__``)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Read samples; those with a key draw their random numbers from it."""
        return [self._keyed(index) if isinstance(index, KeyedIndex) else self.dataset[index] for index in indices]

    def _keyed(self, index: KeyedIndex) -> Any:
        with same_random_state_afterwards():
            seed_everything(index.key, devices=False)
            return self.dataset[int(index)]
