"""Makes a resumed run equal to one that was never interrupted."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, Optional

import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.loops import EpochBasedTrainLoop
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

from .data_pass import batch_size
from .guided import bare_model
from .keyed_batches import KeyedBatches, is_followed
from .keyed_random import ITERATIONS, KeyedItems, KeyedSampler, seed_everything
from .old_lora_state import use_current_order

KEY = "exact_resume"


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Resume at any iteration, also within an epoch, with the samples and random numbers that would have come.

    Weights, optimizer, schedules and buffers are in MMEngine's checkpoints; this hook takes care of the rest. It seeds
    each training iteration by (seed, iteration) and each sample's augmentation by (seed, epoch, place in the sampler's
    sequence), in this process or in a data worker; starts the sampler where it was, without loading what was seen; and
    keeps the gradients of an unfinished accumulation. A sample costs a fraction of a millisecond more.

    The data loader is rebuilt once, before training. One that it cannot follow (an iterable data set, a batch sampler
    other than torch's and mmdet's ``AspectRatioBatchSampler``, a data set with ``__getitems__``) stays as it is, with a
    warning.
    """

    priority = "VERY_HIGH"

    def __init__(self) -> None:
        self._resumed: Optional[dict[str, Any]] = None
        self._batches: Optional[KeyedBatches] = None  # None while the data are left as they are

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Keep what a resume needs."""
        if not runner._resume:
            return
        use_current_order(checkpoint, bare_model(runner), runner.optim_wrapper)
        self._resumed = checkpoint.get(KEY)
        if self._resumed is None:
            runner.logger.warning(
                "The checkpoint was written without ExactResumeHook: this run will not be the one that it would have "
                "become, for its random numbers are unknown."
            )

    def before_train(self, runner: Runner) -> None:
        """Put keys on the data, and go to where the checkpoint was."""
        reason = _unknown(runner.train_loop.dataloader)
        if reason:
            runner.logger.warning(f"ExactResumeHook leaves the training data as it is, for {reason}.")
        else:
            self._follow(runner)
        if self._resumed is not None:
            self._check(runner)
            _set_gradients(bare_model(runner), self._resumed["gradients"])
            self._resumed = None

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed the iteration. ``runner.seed`` differs between processes where ``diff_rank_seed`` says so."""
        seed_everything((runner.seed, ITERATIONS, runner.iter))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict[str, Any]) -> None:
        """Add the data's seed and layout, and gradients that no step has used yet."""
        checkpoint[KEY] = dict(
            data_seed=None if self._batches is None else self._batches.sampler.seed,
            gradients=_gradients(bare_model(runner)) if _accumulating(runner) else {},
            **self._layout(runner),
        )
        if checkpoint[KEY]["gradients"] and get_world_size() > 1:
            runner.logger.warning(
                "This checkpoint is in the middle of a gradient accumulation and keeps the gradients of process 0 "
                "alone: a run resumed from it is not exact. Save every multiple of accumulative_counts iterations."
            )

    def _follow(self, runner: Runner) -> None:
        """Rebuild the training loader with keys, and let the loop begin where it stopped."""
        loop = runner.train_loop
        batches = loop.dataloader.batch_sampler
        self._batches = KeyedBatches(batches, self._keyed_sampler(runner, batches.sampler))
        # On the object itself: a wrapper would hide the data set's type and attributes from others.
        loop.dataloader.dataset.__getitems__ = KeyedItems(loop.dataloader.dataset).__getitems__
        loop.dataloader = _rebuilt(loop.dataloader, self._batches)
        if isinstance(loop, EpochBasedTrainLoop):
            done = loop.iter - loop.epoch * len(loop.dataloader)  # of this epoch
            if not 0 <= done <= len(loop.dataloader):  # the checkpoint had other batches: begin the epoch again
                done = 0
            self._batches.skip = done
        else:
            loop.dataloader_iterator = _Endless(loop.dataloader, self._batches, loop.iter)
        if loop.iter:
            runner.logger.info(f"Resuming with the batch of iteration {loop.iter + 1}; none is loaded again.")

    def _keyed_sampler(self, runner: Runner, sampler: Any) -> KeyedSampler:
        seed = getattr(sampler, "seed", runner.seed)
        if self._resumed is not None and self._resumed["data_seed"] is not None:
            seed = self._resumed["data_seed"]  # where the config sets no seed, this run has drawn another
            if hasattr(sampler, "seed"):
                sampler.seed = seed
        if isinstance(sampler, InfiniteSampler):
            sampler.indices = sampler._indices_of_rank()  # the loop's first iterator may have drawn from them
        return KeyedSampler(sampler, seed, get_rank(), get_world_size())

    @staticmethod
    def _layout(runner: Runner) -> dict[str, Optional[int]]:
        dataset = runner.train_loop.dataloader.dataset
        images = len(dataset) if isinstance(dataset, Sized) else None
        return dict(batch_size=batch_size(runner), processes=get_world_size(), images=images)

    def _check(self, runner: Runner) -> None:
        assert self._resumed is not None
        for name, value in self._layout(runner).items():
            if value != self._resumed.get(name, value):  # older checkpoints have no number of images
                runner.logger.warning(
                    f"The checkpoint was written with {name} {self._resumed[name]}, this run has {value}: it "
                    "continues, but not as the interrupted run would have."
                )


def _unknown(loader: DataLoader) -> str:
    if isinstance(loader.dataset, IterableDataset):
        return "its data set is iterable"
    if not is_followed(loader.batch_sampler):
        return f"its batch sampler is a {type(loader.batch_sampler).__name__}"
    if hasattr(type(loader.dataset), "__getitems__"):
        return f"{type(loader.dataset).__name__} reads batches by itself (__getitems__)"
    return ""


def _rebuilt(loader: DataLoader, batches: KeyedBatches) -> DataLoader:
    """Return the loader with other batches, which torch does not let replace, and with workers that know of it."""
    names = [
        *("dataset", "num_workers", "collate_fn", "pin_memory", "timeout"),
        *("worker_init_fn", "multiprocessing_context", "generator", "prefetch_factor", "persistent_workers"),
    ]
    return DataLoader(batch_sampler=batches, **{name: getattr(loader, name) for name in names})


class _Endless(Iterator[Any]):
    """Batches for ever, after ``done`` empty ones: MMEngine's loop takes and drops that many when it resumes.

    The onedl fork's loop calls ``skip_iter`` instead.
    """

    def __init__(self, loader: DataLoader, batches: KeyedBatches, done: int) -> None:
        self.batches, self.to_drop = _endless(loader, batches, done), done

    def __next__(self) -> Any:
        if self.to_drop:
            self.to_drop -= 1
            return None
        return next(self.batches)

    def skip_iter(self, count: int) -> None:
        """Omit the empty ones."""
        self.to_drop = max(0, self.to_drop - count)


def _endless(loader: DataLoader, batches: KeyedBatches, done: int) -> Iterator[Any]:
    finite = not isinstance(batches.sampler.sampler, InfiniteSampler)
    epoch, batches.skip = divmod(done, len(loader)) if finite else (0, done)
    while True:
        batches.sampler.set_epoch(epoch)
        yield from loader
        epoch += 1


def _accumulating(runner: Runner) -> bool:
    wrapper = runner.optim_wrapper
    return hasattr(wrapper, "should_update") and not wrapper.should_update()


def _gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.grad.detach().cpu() for name, p in model.named_parameters() if p.grad is not None}


def _set_gradients(model: nn.Module, gradients: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for name, gradient in gradients.items():
        parameters[name].grad = gradient.to(parameters[name].device)
