"""P classes with K images each, in any number of processes, from any place on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from mmengine.dataset import DefaultSampler
from mmengine.registry import DATA_SAMPLERS, DATASETS
from torch.utils.data import BatchSampler, DataLoader

from davpt_seg.datasets import PKSampler
from davpt_seg.datasets.pk_sampler import Rounds, check_batch_size
from davpt_seg.engine.keyed_batches import KeyedBatches
from davpt_seg.engine.keyed_random import KeyedSampler

from ..recognition import write_vtab


class Labelled(list):
    """The labels of images, as a data set."""

    def get_data_info(self, index: int) -> dict[str, Any]:
        return dict(gt_label=self[index])


def balanced(num_classes: int, images: int) -> Labelled:
    return Labelled(list(range(num_classes)) * images)


def sampler(
    dataset: Any, batch_size: int, classes_per_batch: int = 16, rank: int = 0, processes: int = 1, seed: int = 5
) -> PKSampler:
    """Build one as a runner does in one of several processes."""
    config = dict(type="PKSampler", batch_size=batch_size, classes_per_batch=classes_per_batch)
    with mock.patch("davpt_seg.datasets.pk_sampler.get_dist_info", return_value=(rank, processes)):
        return DATA_SAMPLERS.build(config, default_args=dict(dataset=dataset, seed=seed))


def batches(indices: Sequence[int], size: int) -> Iterator[list[int]]:
    indices = list(indices)
    assert len(indices) % size == 0
    for start in range(0, len(indices), size):
        yield indices[start : start + size]


@pytest.mark.parametrize(
    ("num_classes", "images", "batch_size", "classes_per_batch", "sizes"),
    [
        (20, 12, 32, 16, {2: 16}),  # the paper's 16 x 2
        (10, 80, 32, 16, {3: 8, 4: 2}),  # fewer classes than P: 10 x 3, and 2 more
        (100, 4, 8, 16, {1: 8}),  # a batch of fewer images than P
        (7, 20, 10, 4, {2: 2, 3: 2}),
        (5, 3, 20, 2, {10: 2}),  # classes of fewer images than K
        (1, 9, 4, 4, {4: 1}),
    ],
)
def test_a_batch_has_p_classes_with_k_images_each(
    num_classes: int, images: int, batch_size: int, classes_per_batch: int, sizes: dict[int, int]
) -> None:
    labels = balanced(num_classes, images)
    for batch in batches(sampler(labels, batch_size, classes_per_batch), batch_size):
        of_class = Counter(labels[i] for i in batch)
        assert Counter(of_class.values()) == sizes
        for label, count in of_class.items():
            assert len({i for i in batch if labels[i] == label}) == min(
                count, images
            )  # different, if there are as many


@pytest.mark.parametrize(
    ("num_classes", "images", "batch_size", "classes_per_batch"), [(10, 80, 32, 16), (16, 20, 32, 16), (50, 8, 20, 10)]
)
def test_an_epoch_of_a_balanced_set_has_every_image_once(
    num_classes: int, images: int, batch_size: int, classes_per_batch: int
) -> None:
    labels = balanced(num_classes, images)
    assert sorted(sampler(labels, batch_size, classes_per_batch)) == list(range(len(labels)))


def test_classes_come_equally_often_and_images_of_a_class_too_whatever_their_number() -> None:
    labels = Labelled([label for label in range(30) for _ in range(2 + 7 * label)])
    drawn = list(sampler(labels, 32))
    assert len(drawn) == -(-len(labels) // 32) * 32
    of_class = Counter(labels[i] for i in drawn)
    assert max(of_class.values()) - min(of_class.values()) <= 2  # one more round of K = 2
    for label in range(30):
        often = Counter({i: 0 for i in range(len(labels)) if labels[i] == label})
        often.update(i for i in drawn if labels[i] == label)
        assert max(often.values()) - min(often.values()) <= 1


def test_the_next_round_does_not_begin_with_what_was_just_taken() -> None:
    for seed in range(20):
        rounds = Rounds(range(6), np.random.default_rng(seed))
        for _ in range(5):
            assert len(set(rounds.draw(4))) == 4
        assert len(rounds.draw(13)) == 13


@pytest.mark.parametrize("processes", [2, 3])
def test_processes_share_out_the_batches_of_one(processes: int) -> None:
    labels = balanced(40, 9)  # 12 batches of 32, the last one partly of images that came before
    alone = list(batches(sampler(labels, 32), 32))
    shares = [list(batches(sampler(labels, 32, rank=rank, processes=processes), 32)) for rank in range(processes)]
    assert [batch for together in zip(*shares) for batch in together] == alone
    for together in zip(*(share[:3] for share in shares)):
        assert len({i for batch in together for i in batch}) == 32 * processes  # disjoint


def test_every_process_has_as_many_batches_and_the_loader_as_with_the_default_sampler() -> None:
    labels = balanced(10, 33)
    shares = [sampler(labels, 32, rank=rank, processes=4) for rank in range(4)]
    assert {len(share) for share in shares} == {96}  # 330 images in batches of 4 x 32
    assert {len(list(share)) for share in shares} == {96}
    for dataset in (labels, balanced(10, 32), balanced(3, 1)):
        mine = DataLoader(dataset, batch_size=32, sampler=sampler(dataset, 32))
        assert len(mine) == len(DataLoader(dataset, batch_size=32, sampler=DefaultSampler(dataset, seed=0)))


def test_seed_and_epoch_alone_decide_the_order() -> None:
    def drawn(epoch: int, seed: int = 5) -> list[int]:
        built = sampler(balanced(12, 20), 16, seed=seed)
        built.set_epoch(epoch)
        return list(built)

    built = sampler(balanced(12, 20), 16)
    assert list(built) == list(built) == drawn(0)
    built.set_epoch(3)
    assert list(built) == drawn(3) != drawn(0)
    assert drawn(0, seed=6) not in (drawn(0), drawn(1))
    assert DATA_SAMPLERS.build(dict(type="PKSampler", dataset=balanced(2, 2), batch_size=2)).seed is not None


def test_keyed_indices_go_on_from_any_place() -> None:
    """What ExactResumeHook makes of a sampler."""
    keyed = KeyedSampler(sampler(balanced(12, 20), 16), 5)
    keyed.set_epoch(2)
    whole = [(int(index), index.key) for index in keyed]
    assert len({key for _, key in whole}) == len(whole) == len(keyed)
    batches = KeyedBatches(BatchSampler(keyed, 16, drop_last=True), keyed)
    batches.skip = 3
    assert [(int(index), index.key) for batch in batches for index in batch] == whole[48:]


def test_labels_are_those_of_a_wrapped_data_set(tmp_path: Path) -> None:
    write_vtab(tmp_path, "mine", train=9, num_classes=3)
    inner = dict(type="RandomSubset", dataset=dict(type="VTABDataset", data_root=str(tmp_path), dataset="mine"))
    dataset = DATASETS.build(dict(type="RepeatDataset", times=2, dataset=dict(inner, num_images=8)))
    of_class = Counter(dataset.get_data_info(i)["gt_label"] for i in sampler(dataset, 6, 3))
    assert of_class == {0: 6, 1: 6, 2: 6}  # 16 images in 3 batches of 3 x 2


@pytest.mark.parametrize(
    ("dataset", "options", "message"),
    [
        (balanced(2, 2), dict(batch_size=0), "batch_size must be an integer of at least 1, got 0"),
        (
            balanced(2, 2),
            dict(batch_size=4, classes_per_batch=0),
            "classes_per_batch must be an integer of at least 1, got 0",
        ),
        (Labelled([0, None]), dict(batch_size=2), "item 1 of Labelled has gt_label=None; for other data"),
        (Labelled([[0, 1]]), dict(batch_size=2), r"one class each, but item 0 of Labelled has gt_label=\[0, 1\]"),
        (Labelled(), dict(batch_size=2), "Labelled has no images"),
    ],
)
def test_what_cannot_be_sampled_is_refused(dataset: Any, options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PKSampler(dataset, seed=0, **options)


def test_a_loader_with_another_batch_size_than_its_sampler_is_refused() -> None:
    config = dict(batch_size=8, sampler=dict(type="PKSampler", batch_size=8))
    check_batch_size(config)
    check_batch_size(dict(batch_size=8, sampler=dict(type="DefaultSampler", shuffle=True)))
    with pytest.raises(ValueError, match=r"batch_size is 4, but that of its sampler PKSampler 8: .*--cfg-options"):
        check_batch_size(dict(config, batch_size=4))
