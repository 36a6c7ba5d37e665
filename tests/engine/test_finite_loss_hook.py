"""When a loss that is no number ends a training, and what the message says."""

from __future__ import annotations

import logging
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Optional

import pytest
import torch
from mmengine.hooks import RuntimeInfoHook
from mmengine.logging import MessageHub
from torch import nn

from davpt_seg.engine import FiniteLossHook
from davpt_seg.engine.finite import non_finite
from davpt_seg.errors import DivergedError

from ..core.guidance.test_gather import in_processes

NAN, INF = math.nan, math.inf


class Scaler:
    """A loss scaler of a fixed scale."""

    def __init__(self, scale: float = 65536.0) -> None:
        self.scale = scale

    def is_enabled(self) -> bool:
        return True

    def get_scale(self) -> float:
        return self.scale


class Runner:
    """As much of a runner as the hook asks for."""

    def __init__(self, scaler: Optional[Scaler] = None) -> None:
        self.iter, self.max_iters = 0, 1000
        self.model: Any = nn.Linear(2, 2)
        self.optim_wrapper = SimpleNamespace(loss_scaler=scaler, get_lr=lambda: dict(lr=[0.1]))
        self.hooks: list[Any] = []
        self.cfg: dict[str, Any] = {}
        self.message_hub = MessageHub(f"finite{id(self)}")
        self.logger = logging.getLogger("davpt_seg")
        self._resume = False


def steps(hook: FiniteLossHook, runner: Any, losses: list[float], batch: Any = None) -> None:
    """Give a hook one step after another, and what MMEngine logs of it."""
    hook.before_train(runner)
    for value in losses:
        hook.after_train_iter(runner, runner.iter, batch, dict(loss=torch.tensor(value), loss_ce=torch.tensor(value)))
        runner.iter += 1


@pytest.mark.parametrize("bad", [NAN, INF, -INF])
def test_the_first_loss_that_is_not_finite_ends_the_training_and_is_named(bad: float) -> None:
    with pytest.raises(DivergedError, match=rf"in iteration 3, loss_ce is {bad}\. Likely cause: a learning rate"):
        steps(FiniteLossHook(), Runner(), [2.0, 3.0, bad, 1.0])


def test_a_number_beside_the_losses_may_be_anything() -> None:
    hook, runner = FiniteLossHook(), Runner()
    hook.after_train_iter(runner, 0, None, dict(loss=torch.tensor(1.0), acc_seg=torch.tensor(NAN)))


def test_a_loss_scaler_explains_steps_that_it_skips_up_to_a_number_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        steps(FiniteLossHook(max_skipped=2), Runner(Scaler()), [1.0, INF, INF, 1.0, NAN, INF, 1.0])
    assert "Iteration 3: loss_ce is inf; the loss scaler skips this step (2 of at most 2 in a row)" in caplog.text
    with pytest.raises(DivergedError, match=r"in iteration 4, loss_ce is nan.*float16 overflow"):
        steps(FiniteLossHook(max_skipped=2), Runner(Scaler()), [1.0, INF, INF, NAN])


def test_a_scaler_that_skips_all_steps_ends_the_training_though_losses_are_finite() -> None:
    steps(FiniteLossHook(interval=3), Runner(Scaler(2.0**-20)), [1.0] * 6)
    with pytest.raises(DivergedError, match=r"scale fell to 4\.7\d+e-07, because the gradients of every step overflow"):
        steps(FiniteLossHook(interval=3), Runner(Scaler(2.0**-21)), [1.0] * 3)


def test_the_cause_is_looked_for_in_the_batch() -> None:
    void = SimpleNamespace(gt_sem_seg=SimpleNamespace(data=torch.full((1, 4, 4), 255)))
    for batch, words in (
        (
            dict(inputs=[torch.zeros(3, 4, 4, dtype=torch.uint8)], data_samples=[void]),
            "all labels of this batch are void",
        ),
        (dict(inputs=[torch.full((3, 4, 4), NAN)], data_samples=[]), "images of this batch hold NaN or infinity"),
        (None, "starting weights, images or arguments of a loss: this is the first step"),
    ):
        with pytest.raises(DivergedError, match=f"Likely cause: {words}"):
            steps(FiniteLossHook(), Runner(), [NAN], batch)


def test_the_losses_of_the_log_are_read_and_no_device_is_asked() -> None:
    class OnDevice:
        """A tensor that may not be read."""

        def __float__(self) -> float:
            raise AssertionError("synchronised")

    class CustomInfoHook(RuntimeInfoHook):
        """Also one that a user derived."""

    hook, runner = FiniteLossHook(), Runner()
    runner.hooks = [CustomInfoHook()]
    runner.message_hub.update_scalar("train/loss", 1.0)
    hook.after_train_iter(runner, 0, None, dict(loss=OnDevice()))
    runner.message_hub.update_scalar("train/loss", NAN)
    with pytest.raises(DivergedError, match="loss is nan"):
        hook.after_train_iter(runner, 0, None, dict(loss=OnDevice()))


def two_processes(rank: int) -> str:
    """The second process meets a NaN in its iteration 3 of 9."""
    runner = Runner()
    try:
        steps(FiniteLossHook(interval=4), runner, [1.0, 1.0, NAN if rank else 1.0] + [1.0] * 6)
    except DivergedError as error:
        return f"{runner.iter} {error}"
    return "not stopped"


@pytest.mark.skipif(torch.cuda.is_available(), reason="forks; hide the GPU with CUDA_VISIBLE_DEVICES=''")
def test_all_processes_stop_together(tmp_path: Path) -> None:
    said = in_processes(two_processes, tmp_path, number=2)
    assert said[0] == said[1]
    assert said[0].startswith("3 The training diverged: in iteration 3, loss_ce is nan")


def test_what_is_finite_is_judged_by_name() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    assert non_finite(model) == []
    model.register_buffer("mask", torch.tensor([0.0, -INF]))  # on purpose, as masks of attention are
    assert non_finite(model) == []
    with torch.no_grad():
        model[0].weight[0, 0] = INF
        model[1].running_var[1] = NAN
        model[2].bias[0] = 1e25  # its square is infinite
    assert sorted(non_finite(model)) == ["0.weight", "1.running_var", "2.bias"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (dict(interval=0), "interval must be an integer of at least 1"),
        (dict(interval=1.5), "interval must be an integer"),
        (dict(max_skipped=-1), "max_skipped must be an integer of at least 0"),
    ],
)
def test_impossible_arguments_are_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"FiniteLossHook {said}"):
        FiniteLossHook(**arguments)
