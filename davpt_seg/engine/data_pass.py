"""A pass over the training data before training, which leaves training's own order and randomness as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, worker_init_fn
from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from .keyed_random import KeyedItems, KeyedSampler


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
    states = random.getstate(), np.random.get_state()
    loader = runner.train_dataloader
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed + get_rank())
            np.random.seed(seed + get_rank())
            torch.random.default_generator.manual_seed(seed + get_rank())  # the CPU's alone: augmentation draws there
            yield DataLoader(
                KeyedItems(loader.dataset),
                batch_size=batch_size(runner),
                sampler=KeyedSampler(
                    DefaultSampler(loader.dataset, shuffle=True, seed=seed), seed, get_rank(), get_world_size()
                ),
                num_workers=loader.num_workers,
                collate_fn=loader.collate_fn,
                worker_init_fn=partial(worker_init_fn, num_workers=loader.num_workers, rank=get_rank(), seed=seed),
            )
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
