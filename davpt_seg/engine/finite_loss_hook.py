"""Hook that ends a training at the first loss that is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple, Optional

from mmengine.dist import all_gather_object, get_world_size
from mmengine.hooks import Hook, RuntimeInfoHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..core.annotations import Count, Number
from ..core.arguments import checked
from .divergence import OVERFLOW, causes, diverged
from .finite import on_any_process, require_finite

SMALLEST_SCALE = 2.0**-20  # of the loss; a scaler starts at 2**16 and halves its scale in each step that it skips


class _Seen(NamedTuple):
    """First loss that was not finite, on one process."""

    iteration: int
    what: str
    causes: list[str]


@HOOKS.register_module()
class FiniteLossHook(Hook):
    """End a training if a loss, or before validation and at the end a parameter, is NaN or infinite.

    It reads the values that MMEngine's ``RuntimeInfoHook`` copied for the log, so that it waits for no device. A single
    process stops at the iteration itself. Several processes communicate every ``interval`` iterations, so that they
    stop together.

    Mixed precision with a loss scaler (``AmpOptimWrapper``) skips a step whose gradients are not finite and lowers its
    scale: such a step is logged. Only more than ``max_skipped`` in a row, or a scale below 2**-20, end the training.

    Args:
        interval: iterations between two checks of the other processes and the loss scaler.
        max_skipped: largest number of consecutive steps that a loss scaler may skip because of the loss.

    Raises:
        ValueError: an interval below 1, a negative ``max_skipped``, or a value that is no integer.
    """

    priority = 65  # after the log (60), before checkpoints (90)

    @checked("FiniteLossHook")
    def __init__(self, interval: Count = 10, max_skipped: Number = 20) -> None:
        self.interval, self.max_skipped = interval, max_skipped
        self._skipped = 0  # in a row
        self._seen: Optional[_Seen] = None
        self._start = 0

    def before_train(self, runner: Runner) -> None:
        """Record the first iteration of the run."""
        self._start, self._skipped, self._seen = runner.iter, 0, None

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[Mapping[str, Any]] = None
    ) -> None:
        """Check the losses of an iteration.

        Raises:
            DivergedError: one of them is not finite.
        """
        bad = {name: value for name, value in _losses(runner, outputs or {}) if not math.isfinite(value)}
        scaled = bool(_scalers(runner))
        self._skipped = self._skipped + 1 if bad and scaled else 0
        if bad and scaled and self._skipped <= self.max_skipped:
            runner.logger.warning(
                f"Iteration {runner.iter + 1}: {_listed(bad)}; the loss scaler skips this step ({self._skipped} of at "
                f"most {self.max_skipped} in a row)."
            )
        elif bad and self._seen is None:
            first = runner.iter == self._start
            self._seen = _Seen(runner.iter, _listed(bad), causes(runner, data_batch, first, scaled))
        due = self.every_n_train_iters(runner, self.interval)
        if due or get_world_size() == 1:
            self._stop(runner)
        if due:
            self._check_scale(runner)

    def before_val(self, runner: Runner) -> None:
        """Check parameters, because a score of NaN parameters is meaningless.

        Raises:
            DivergedError: some are not finite.
        """
        if not isinstance(runner._train_loop, (dict, type(None))):  # validation during training only
            require_finite(runner, "before validation")

    def after_train(self, runner: Runner) -> None:
        """Check the last losses and the final parameters.

        Raises:
            DivergedError: some are not finite.
        """
        self._stop(runner)
        require_finite(runner, "at the end of the training")

    def _stop(self, runner: Runner) -> None:
        if not on_any_process(self._seen is not None):
            return
        seen = [self._seen] if get_world_size() == 1 else all_gather_object(self._seen)
        first = min((each for each in seen if each is not None), key=lambda each: each.iteration)
        raise diverged(runner, f"in iteration {first.iteration + 1}, {first.what}", first.causes)

    @staticmethod
    def _check_scale(runner: Runner) -> None:
        for scaler in _scalers(runner):
            scale = scaler.get_scale()
            if scale < SMALLEST_SCALE:
                what = f"the loss scaler's scale fell to {scale:g}, because the gradients of every step overflow"
                raise diverged(runner, what, [OVERFLOW])


def _losses(runner: Runner, outputs: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Yield the losses of this iteration, from the log if they are there, because those are already on the CPU."""
    scalars = runner.message_hub.log_scalars
    logged = any(isinstance(hook, RuntimeInfoHook) for hook in runner.hooks)
    for name, value in outputs.items():
        if "loss" in name:
            key = f"train/{name}"
            yield name, float(scalars[key].current() if logged and key in scalars else value)


def _scalers(runner: Runner) -> list[Any]:
    wrapper = runner.optim_wrapper
    wrappers = list(wrapper.values()) if hasattr(wrapper, "values") else [wrapper]
    scalers = [getattr(each, "loss_scaler", None) for each in wrappers]
    return [scaler for scaler in scalers if scaler is not None and scaler.is_enabled()]


def _listed(bad: Mapping[str, float]) -> str:
    terms = {name: value for name, value in bad.items() if name != "loss"} or bad  # 'loss' is the sum of the others
    return ", ".join(f"{name} is {value}" for name, value in terms.items())
