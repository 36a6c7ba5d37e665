"""End of a training on request: the current iteration is finished and saved."""

from __future__ import annotations

from typing import Any, Callable, Optional

import torch
import torch.distributed
from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from .atomic_checkpoint_hook import AtomicCheckpointHook

KEY = "interrupted_ckpt"  # in MMEngine's message hub, which checkpoints hold


class Interrupted(KeyboardInterrupt):
    """End of a training on request.

    Args:
        signum: signal that asked for it.
        message: what was saved.
    """

    def __init__(self, signum: int, message: str) -> None:
        super().__init__(message)
        self.status = 128 + signum


class InterruptionHook(Hook):
    """End a training at the end of an iteration, validation step or test step, when a signal asked for it.

    After a training iteration, a checkpoint is written, ``iter_N.pth`` also in the middle of an epoch, and
    ``last_checkpoint`` names it. It is not one of ``max_keep_ckpts``: the next regular checkpoint of the resumed
    training takes its place, and the file is removed. Several processes agree once an iteration, on the CPU, so that
    all end at the same one.

    Args:
        wanted: function that returns the signal that asked for an end, or 0.
        resume: command that resumes the training.
    """

    def __init__(self, wanted: Callable[[], int], resume: str) -> None:
        self._wanted = wanted
        self._resume = resume
        self._group: Any = None
        self._is_inside = False  # an iteration

    def before_train(self, runner: Runner) -> None:
        """Connect the processes for their agreement."""
        if get_world_size() > 1:
            self._group = torch.distributed.new_group(backend="gloo")  # no work for a GPU

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Note that parameters and counters are between two states from here on."""
        self._is_inside = True

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict[str, Any]] = None
    ) -> None:
        """Save and end, if any process was asked to; remove the file of an earlier interruption when it is replaced."""
        self._is_inside = False
        self._remove_replaced(runner)
        if signum := self._agreed():
            self._end_after(runner, runner.iter + 1, signum)

    def after_train_epoch(self, runner: Runner) -> None:
        """Remove the file of an earlier interruption when a checkpoint of an epoch replaces it."""
        self._remove_replaced(runner)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """End without a checkpoint: the last one was written before the validation."""
        if signum := self._wanted():
            last = runner.message_hub.get_info("last_ckpt", None)
            self._end(runner, signum, f"Interrupted in the validation after iteration {runner.iter}", last)

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """End a test."""
        if signum := self._wanted():
            self._end(runner, signum, "Interrupted in the test", runner.message_hub.get_info("last_ckpt", None))

    def end_without_data(self, runner: Runner) -> None:
        """End where the next batch cannot be read any more, since the signal ended the data loader's workers, too.

        Several processes would have to agree first, so that they save nothing.

        Raises:
            Interrupted: a signal asked for an end, and no iteration was in progress.
        """
        signum = self._wanted()
        if not signum or self._is_inside:
            return
        if not runner.iter:
            self._end(runner, signum, "Interrupted before the first iteration: nothing was trained", None)
        if self._group is not None:
            last = runner.message_hub.get_info("last_ckpt", None)
            self._end(runner, signum, f"Interrupted after iteration {runner.iter}", last)
        runner.train_loop._iter -= 1  # a checkpoint counts the iteration that is in progress
        self._end_after(runner, runner.iter + 1, signum)

    def _end_after(self, runner: Runner, number: int, signum: int) -> None:
        path = None
        for hook in _checkpoint_hooks(runner):
            path = hook.save_interrupted(runner, number, KEY)
        self._end(runner, signum, f"Interrupted after iteration {number} of {runner.max_iters}", path)

    def _agreed(self) -> int:
        if self._group is None:
            return self._wanted()
        signum = torch.tensor(self._wanted())
        torch.distributed.all_reduce(signum, torch.distributed.ReduceOp.MAX, group=self._group)
        return int(signum)

    def _end(self, runner: Runner, signum: int, when: str, checkpoint: Optional[str]) -> None:
        if not is_main_process():  # the first one prints the message
            raise SystemExit(128 + signum)
        if checkpoint is None:
            raise Interrupted(signum, f"{when}. There is no checkpoint")
        how = f"Resume: {self._resume}"
        if not all(hook.save_optimizer for hook in _checkpoint_hooks(runner)):
            how = "It cannot be resumed, for it holds no optimizer (default_hooks.checkpoint.save_optimizer=False)"
        raise Interrupted(signum, f"{when}. Checkpoint: {checkpoint}. {how}")

    @staticmethod
    def _remove_replaced(runner: Runner) -> None:
        path = runner.message_hub.get_info(KEY, None)
        if path and runner.message_hub.get_info("last_ckpt", None) != path:
            runner.message_hub.update_info(KEY, None)
            for hook in _checkpoint_hooks(runner) if is_main_process() else ():
                hook.remove_interrupted(runner, path)


def _checkpoint_hooks(runner: Runner) -> list[AtomicCheckpointHook]:
    return [hook for hook in runner.hooks if isinstance(hook, AtomicCheckpointHook)]
