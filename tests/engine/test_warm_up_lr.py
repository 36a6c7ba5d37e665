"""Warm-up in epochs: as MMEngine's, bounded, and over when it says so."""

from __future__ import annotations

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import LinearLR

from davpt_seg.engine import WarmUpLR
from davpt_seg.experiments.compose import compose


def rates(kind: type[LinearLR], epoch_length: int, steps: int, **options: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = kind.build_iter_from_epoch(optimizer, epoch_length=epoch_length, by_epoch=True, **options)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return found


@pytest.mark.parametrize("begin", [0, 3])
def test_without_a_bound_it_is_the_warm_up_of_mmengine(begin: int) -> None:
    options = dict(begin=begin, end=begin + 2, start_factor=0.01)
    assert rates(WarmUpLR, 5, 40, **options) == rates(LinearLR, 5, 40, **options)


def test_a_bound_ends_long_epochs_early() -> None:
    bounded = rates(WarmUpLR, 1000, 20, begin=0, end=1, start_factor=0.001, most=10)
    assert bounded == rates(LinearLR, 10, 20, begin=0, end=1, start_factor=0.001)
    assert bounded[-1] == pytest.approx(1)


@pytest.mark.parametrize("epoch_length", [1, 2, 4])
def test_short_epochs_reach_the_full_rate(epoch_length: int) -> None:
    found = rates(WarmUpLR, epoch_length, 8, begin=0, end=1, start_factor=0.001, most=500)
    assert found[0] == pytest.approx(0.001) and found[max(2, epoch_length) :] == pytest.approx(
        [1] * (8 - max(2, epoch_length))
    )


@pytest.mark.parametrize("epochs", [None, 5, 30])
def test_detectors_warm_up_for_epochs_so_that_few_images_train_at_the_full_rate(epochs: int | None) -> None:
    pytest.importorskip("mmdet")
    length = {} if epochs is None else {"epochs": epochs}
    cfg = compose(head="fcos_small", trunk="vitti", data="demo_boxes", schedule="detection_12e", **length)
    warm_up = cfg.param_scheduler[0]
    assert warm_up.type == "WarmUpLR" and warm_up.convert_to_iter_based
    assert rates(WarmUpLR, 4, 4 * cfg.train_cfg.max_epochs, **_options(warm_up))[-1] == pytest.approx(1)


def _options(stage: Config) -> dict[str, object]:
    return {key: value for key, value in stage.items() if key not in ("type", "by_epoch", "convert_to_iter_based")}
