"""Random numbers by place: the same however the data are loaded."""

from __future__ import annotations

import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mmengine.dataset import DefaultSampler, InfiniteSampler
from torch.utils.data import BatchSampler, DataLoader, Dataset, IterableDataset

from davpt_seg.engine.exact_resume_hook import _unknown
from davpt_seg.engine.keyed_batches import KeyedBatches
from davpt_seg.engine.keyed_random import KeyedIndex, KeyedItems, KeyedSampler

from ..training import tiny_camvid, train


class Draws(Dataset):
    """Each sample is its index and a number of every generator."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> list[float]:
        return [index, random.random(), np.random.rand(), torch.rand(()).item()]


def drawn(rank: int = 0, processes: int = 1, workers: int = 0, skip: int = 0) -> list[list[float]]:
    dataset = Draws()
    dataset.__getitems__ = KeyedItems(dataset).__getitems__
    sampler = InfiniteSampler(dataset, seed=3)
    sampler.rank, sampler.world_size = rank, processes
    batches = KeyedBatches(BatchSampler(sampler, 2, drop_last=False), KeyedSampler(sampler, 3, rank, processes))
    batches.skip = skip
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=workers, collate_fn=list)
    return [sample for _, batch in zip(range(6), loader) for sample in batch]


def test_the_same_samples_and_numbers_come_with_workers_from_any_start_and_in_two_processes() -> None:
    whole = drawn()
    assert len({tuple(sample[1:]) for sample in whole}) == 12  # each sample has numbers of its own
    assert drawn(workers=2) == whole
    assert drawn(skip=2)[:8] == whole[4:]
    shares = [drawn(rank, 2) for rank in range(2)]
    assert [sample for pair in zip(*shares) for sample in pair][:12] == whole


def test_an_epoch_starts_where_it_was_left_and_the_next_one_at_its_start() -> None:
    dataset = Draws()
    sampler = KeyedSampler(DefaultSampler(dataset, seed=1), 1)
    sampler.set_epoch(4)
    whole = [(int(index), index.key) for index in sampler]
    batches = KeyedBatches(BatchSampler(sampler, 2, drop_last=False), sampler)
    batches.skip = 3
    assert [(int(index), index.key) for batch in batches for index in batch] == whole[6:]
    assert [(int(index), index.key) for batch in batches for index in batch] == whole
    sampler.set_epoch(5)
    assert not {index.key for index in sampler} & {key for _, key in whole}


class Shapes(Draws):
    """Images of which some are wide and some are tall."""

    def get_data_info(self, index: int) -> dict[str, int]:
        return dict(width=5 + int(index) % 3, height=6)


@pytest.mark.parametrize("skip", range(5))
def test_batches_by_aspect_ratio_resume_after_each_batch_with_what_waits_in_both_groups(skip: int) -> None:
    samplers = pytest.importorskip("mmdet.datasets.samplers")
    dataset = Shapes()
    sampler = KeyedSampler(DefaultSampler(dataset, seed=1), 1)
    original = samplers.AspectRatioBatchSampler(sampler.sampler, batch_size=2)
    expected = list(original)
    batches = KeyedBatches(original, sampler)
    next(iter(batches))  # a loader that was built and left has drawn from them
    batches.skip = skip
    assert list(batches) == expected[skip:]
    assert list(batches) == expected
    assert len(batches) == len(expected) == 4


def test_reading_a_sample_leaves_this_process_s_generators_alone() -> None:
    items = KeyedItems(Draws()).__getitems__
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    first, second = items([KeyedIndex(2, (0, 1)), KeyedIndex(2, (0, 2))])
    assert first != second
    assert random.getstate() == states[0]
    assert all(np.array_equal(a, b) for a, b in zip(np.random.get_state(), states[1]))
    assert torch.equal(torch.get_rng_state(), states[2])
    assert items([3]) != items([3])  # without a key, they go on as ever


def test_an_index_keeps_its_key_on_the_way_to_a_worker() -> None:
    index = pickle.loads(pickle.dumps(KeyedIndex(5, (1, 2, 3))))
    assert index == 5
    assert index.key == (1, 2, 3)


class Endless(IterableDataset):
    def __iter__(self) -> Any:
        return iter(range(3))


class Batched(Draws):
    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[i] for i in indices]


class Odd(BatchSampler):
    """Batches that may depend on anything."""


@pytest.mark.parametrize(
    ("loader", "reason"),
    [
        (DataLoader(Endless()), "iterable"),
        (DataLoader(Draws(), batch_size=None), "batch sampler is a NoneType"),
        (DataLoader(Batched()), "Batched reads batches by itself"),
        (DataLoader(Draws()), ""),
        (DataLoader(Draws(), batch_sampler=Odd(range(7), 2, False)), "batch sampler is a Odd"),
    ],
)
def test_a_loader_that_cannot_be_followed_is_named(loader: DataLoader, reason: str) -> None:
    assert bool(reason) == bool(_unknown(loader))
    assert reason in _unknown(loader)


def test_such_a_run_trains_with_a_warning(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("davpt_seg.engine.exact_resume_hook._unknown", lambda loader: "it is odd")
    runner = train(tiny_camvid(camvid, tmp_path))
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert "ExactResumeHook leaves the training data as it is, for it is odd" in log
    assert torch.load(tmp_path / "epoch_1.pth")["exact_resume"]["data_seed"] is None
