"""Pass over the training data before training, without any effect on training's order and randomness."""

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
    """Return the batch size of training on one process."""
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size


@contextmanager
def data_pass(runner: Runner, seed: int) -> Iterator[DataLoader]:
    """Yield a separate loader of the training data, shuffled by the seed and distributed over the processes.

    Its batches depend only on the data and the seed, not on the numbers of workers and processes. The training sampler
    does not advance, and the run's random state is restored afterwards.
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
