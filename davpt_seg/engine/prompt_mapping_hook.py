"""Keeps the class-to-prompt mapping up to date."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Optional

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, worker_init_fn
from mmengine.dist import all_reduce, broadcast, get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from mmengine.runner.loops import EpochBasedTrainLoop
from torch.utils.data import DataLoader

from ..core.mapping import ClassPromptMapping
from .guided import guided_backbone, pixel_labels


@HOOKS.register_module()
class PromptMappingHook(Hook):
    """Cluster classes before training, and again at the end of each epoch or every ``interval`` iterations.

    DA-VPT (arXiv 2505.23694), Sec. 3.4. Where the classes do not outnumber the prompts there is nothing to do.

    The mapping stays as it is after the last step, for no prompt would learn a new one.

    Args:
        interval: iterations between two clusterings in iteration-based training; by default those that see as many
            images as the data set has. In epoch-based training: epochs, by default 1. 0 keeps the first mapping.
        first_pass_batches: batches of the pass that gathers the first class means through the bare ViT, on each
            process; None for the whole data set.
    """

    def __init__(self, interval: Optional[int] = None, first_pass_batches: Optional[int] = 200) -> None:
        self.interval = interval
        self.first_pass_batches = first_pass_batches

    def before_train(self, runner: Runner) -> None:
        """Make the first mapping, unless it came with the checkpoint that is resumed."""
        self._model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self._backbone, self._guidance = guided_backbone(self._model, "PromptMappingHook")
        self._mapping: ClassPromptMapping = self._guidance.mapping
        self._class_names = runner.train_dataloader.dataset.metainfo.get("classes") or [
            f"class {c}" for c in range(self._mapping.num_classes)
        ]
        if len(self._class_names) != self._mapping.num_classes:
            raise ValueError(
                f"guidance num_classes is {self._mapping.num_classes}, but the training set has "
                f"{len(self._class_names)} classes"
            )
        if not self._mapping.needs_clustering:
            runner.logger.info("Each class has a prompt of its own:\n" + self._mapping.in_words(self._class_names))
        elif not (self._guidance.patch_weight or self._guidance.cls_weight):
            runner.logger.info("Both guidance weights are 0: classes are not clustered.")
        elif runner.iter == 0 or not self._mapping.clustered:
            self._mapping.reset()  # a checkpoint that is fine-tuned from may bring another data set's
            self._first_pass(runner)
            self._recluster(runner)

    def after_train_epoch(self, runner: Runner) -> None:
        """Cluster anew in epoch-based training."""
        last = runner.epoch + 1 >= runner.max_epochs
        if (
            self._by_epoch(runner)
            and self._mapping.clustered
            and not last
            and self.every_n_epochs(runner, 1 if self.interval is None else self.interval)
        ):
            self._recluster(runner)

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Optional[dict] = None
    ) -> None:
        """Cluster anew in iteration-based training."""
        # After the last step no prompt would learn the new mapping.
        if self._by_epoch(runner) or not self._mapping.clustered or runner.iter + 1 >= runner.max_iters:
            return
        interval = self.interval
        if interval is None:
            interval = max(1, len(runner.train_dataloader.dataset) // (_batch_size(runner) * get_world_size()))
        if self.every_n_train_iters(runner, interval):
            self._recluster(runner)

    @staticmethod
    def _by_epoch(runner: Runner) -> bool:
        return isinstance(runner.train_loop, EpochBasedTrainLoop)

    @torch.no_grad()
    def _first_pass(self, runner: Runner) -> None:
        loader = runner.train_dataloader
        with _same_random_state_afterwards():
            # A loader of its own: the training sampler must not be moved on.
            loader = DataLoader(
                loader.dataset,
                batch_size=_batch_size(runner),
                sampler=DefaultSampler(loader.dataset, shuffle=True, seed=self._mapping.seed),
                num_workers=loader.num_workers,
                collate_fn=loader.collate_fn,
                worker_init_fn=partial(
                    worker_init_fn, num_workers=loader.num_workers, rank=get_rank(), seed=self._mapping.seed
                ),
            )
            total = min(len(loader), self.first_pass_batches or len(loader))
            runner.logger.info(f"First class means: {total} batches through the frozen ViT ...")
            self._model.eval()
            start = time.monotonic()
            for done, batch in zip(range(1, total + 1), loader):
                data = self._model.data_preprocessor(batch, True)
                features = self._backbone.encode(data["inputs"], record=True, prompted=False)
                self._guidance.observe(features.records, pixel_labels(data["data_samples"]))
                if done % max(1, total // 10) == 0:
                    left = timedelta(seconds=round((time.monotonic() - start) / done * (total - done)))
                    runner.logger.info(f"First class means: {done}/{total} batches, eta {left}")
            self._model.train()

    def _recluster(self, runner: Runner) -> None:
        mapping = self._mapping
        before = mapping.prompt_of_class.clone()
        sums, counts = mapping.sums(), mapping.class_counts.clone()
        all_reduce(sums)
        all_reduce(counts)
        mapping.set_means(sums, counts)
        if get_rank() == 0:
            mapping.recluster()
        for buffer in mapping.buffers():
            shared = buffer.to(torch.uint8) if buffer.dtype == torch.bool else buffer.clone()
            broadcast(shared)
            buffer.copy_(shared)
        moved = int((mapping.prompt_of_class != before).sum())
        runner.logger.info(
            f"Classes to prompts: {moved} of {mapping.num_classes} classes moved\n"
            + mapping.in_words(self._class_names)
        )


def _batch_size(runner: Runner) -> int:
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size


@contextmanager
def _same_random_state_afterwards() -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
