"""Epochs without an end, and warm-ups that are longer than the training."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mmengine.dataset import DefaultSampler, InfiniteSampler
from mmengine.runner import EpochBasedTrainLoop
from torch.utils.data import DataLoader, Dataset

from davpt_seg.errors import InputError
from davpt_seg.training.check_schedule import check_schedule


class Images(Dataset):
    def __len__(self) -> int:
        return 8


def runner_of(sampler: type, warm_up: int, warned: list[str]) -> Any:
    """Return a runner of three epochs of four iterations."""
    loop = EpochBasedTrainLoop.__new__(EpochBasedTrainLoop)
    loop.dataloader = DataLoader(Images(), batch_size=2, sampler=sampler(Images()))
    stages = [
        dict(type="LinearLR", begin=0, end=warm_up, by_epoch=False),
        dict(type="MultiStepLR", milestones=[2], by_epoch=True),
    ]
    return SimpleNamespace(
        train_loop=loop, max_iters=12, cfg=dict(param_scheduler=stages), logger=SimpleNamespace(warning=warned.append)
    )


def test_epochs_of_a_sampler_without_an_end_are_refused() -> None:
    with pytest.raises(InputError, match="InfiniteSampler, which never ends an epoch"):
        check_schedule(runner_of(InfiniteSampler, 2, []))


@pytest.mark.parametrize(("warm_up", "told"), [(12, []), (500, ["takes 500 iterations, and the training has 12"])])
def test_a_warm_up_beyond_the_end_is_told(warm_up: int, told: list[str]) -> None:
    warned: list[str] = []
    check_schedule(runner_of(DefaultSampler, warm_up, warned))
    assert len(warned) == len(told) and all(part in text for part, text in zip(told, warned))
