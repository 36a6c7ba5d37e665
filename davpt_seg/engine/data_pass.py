"""A pass over the training data before training, which leaves training's own order and randomness as they were."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from mmengine.dataset import DefaultSampler, worker_init_fn
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .keyed_random import KeyedItems, KeyedSampler, same_random_state_afterwards, seed_everything


def batch_size(runner: Runner) -> int:
    """Return how many images a training batch of one process has."""
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size


@contextmanager
def data_pass(runner: Runner, seed: int) -> Iterator[DataLoader]:
    """Give a loader of the training data of its own, shuffled by the seed and shared out over the processes.

    What it gives depends on the data and the seed alone, whatever the numbers of workers and of processes. The
    training sampler is not moved on, and the run's random numbers continue afterwards as if nothing had been.
    """
    loader = runner.train_dataloader
    sampler = DefaultSampler(loader.dataset, shuffle=True, seed=seed)
    with same_random_state_afterwards():
        seed_everything((seed, get_rank()), devices=False)
        yield DataLoader(
            KeyedItems(loader.dataset),
            batch_size=batch_size(runner),
            sampler=KeyedSampler(sampler, seed, get_rank(), get_world_size()),
            num_workers=loader.num_workers,
            collate_fn=loader.collate_fn,
            worker_init_fn=partial(worker_init_fn, num_workers=loader.num_workers, rank=get_rank(), seed=seed),
        )
