"""Random numbers that depend only on the position of a training, not on its history.

Each training sample (by its index in the sampler's sequence) and each iteration has a separate seed. So there is no
state to save and nothing to replay after a resume, and data workers, prefetching and validation do not change random
numbers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler

# Second number of a key, which separates the streams of samples and of iterations.
SAMPLES, ITERATIONS = 1, 2


def seed_everything(key: Sequence[int], devices: bool = True) -> None:
    """Seed the generators of Python, NumPy and torch from non-negative integers.

    Args:
        key: integers of the seed; different keys of the same length give unrelated streams.
        devices: whether to seed torch's generators of accelerators, too.
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
    """Restore the state of the CPU's generators after the context."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class KeyedIndex(int):
    """Index of a sample with the key of its random numbers, which a sampler can send to data workers."""

    key: tuple[int, ...]

    def __new__(cls, index: int, key: tuple[int, ...]) -> KeyedIndex:
        """Create an index with a key."""
        self = super().__new__(cls, index)
        self.key = key
        return self

    def __getnewargs__(self) -> tuple[int, tuple[int, ...]]:  # type: ignore[override]
        return int(self), self.key


class KeyedSampler(Sampler[KeyedIndex]):
    """Sampler that attaches a key to each index of another sampler.

    Args:
        sampler: sampler of this process; its i-th index is the (i * processes + rank)-th of all, as with MMEngine's
            samplers.
        seed: seed that all processes share.
        rank, processes: rank of this process, and number of processes. Keys are those of a single process.
    """

    def __init__(self, sampler: Sampler[int], seed: int, rank: int = 0, processes: int = 1) -> None:
        self.sampler = sampler
        self.seed, self.rank, self.processes = seed, rank, processes
        self.epoch = 0

    @property
    def dataset(self) -> Any:
        """Data set of the sampler, from which mmdet's batch samplers read the sizes of images."""
        return self.sampler.dataset  # type: ignore[attr-defined]

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the sampler, too."""
        self.epoch = epoch
        if hasattr(self.sampler, "set_epoch"):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[KeyedIndex]:
        for place, index in enumerate(self.sampler):
            yield KeyedIndex(index, (self.seed, SAMPLES, self.epoch, place * self.processes + self.rank))


class KeyedItems(Dataset[Any]):
    """Data set that reads each sample with its key's seed, through torch's batched reading (``__getitems__``)."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Read samples; those with a key use its random numbers."""
        return [self._keyed(index) if isinstance(index, KeyedIndex) else self.dataset[index] for index in indices]

    def _keyed(self, index: KeyedIndex) -> Any:
        with same_random_state_afterwards():
            seed_everything(index.key, devices=False)
            return self.dataset[int(index)]
