"""One pass of the bare ViT over training images, for the first class means."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Optional

import numpy as np
import torch
from mmengine.dataset import DefaultSampler, worker_init_fn
from mmengine.dist import all_reduce, get_rank
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import Tensor
from torch.utils.data import DataLoader

from ..core.guidance import Guidance
from ..models import PromptedViTBackbone
from .batch_labels import batch_labels


@torch.no_grad()
def observe_training_images(
    runner: Runner,
    backbone: PromptedViTBackbone,
    guidance: Guidance,
    max_batches: Optional[int],
    images_per_class: Optional[int],
) -> None:
    """Show the guidance's mapping what the backbone without prompts makes of training images, with progress.

    What it sees depends on the data, the bounds and the mapping's seed alone, and the run's random numbers go on as if
    it had not been.

    Args:
        runner: whose model and training data are taken.
        backbone: a part of the model.
        guidance: the backbone's.
        max_batches: the pass is over after so many, on each process; None for all images.
        images_per_class: it is over, too, as soon as so many images hold a patch of each class; None for never.
    """
    model = runner.model.module if is_model_wrapper(runner.model) else runner.model
    seed = guidance.mapping.seed
    with _random_numbers_of_its_own(seed + get_rank()):
        loader = _loader(runner, seed)
        total = min(len(loader), max_batches or len(loader))
        runner.logger.info(f"First class means: at most {total} batches through the frozen ViT ...")
        images = torch.zeros(guidance.num_classes, dtype=torch.long)
        model.eval()
        start = time.monotonic()
        for done, batch in zip(range(1, total + 1), loader):
            data = model.data_preprocessor(batch, True)
            records = backbone.encode(data["inputs"], record=True, prompted=False).records
            labels = batch_labels(data["inputs"], data["data_samples"], guidance.labelling)
            patches = guidance.targets(records, labels).patches
            guidance.observe(records, patches)
            if done % max(1, total // 10) == 0:
                left = timedelta(seconds=round((time.monotonic() - start) / done * (total - done)))
                runner.logger.info(f"First class means: {done}/{total} batches, eta {left}")
            if images_per_class is not None:
                images += images_with(patches, guidance.num_classes)
                if images.min() >= images_per_class:
                    runner.logger.info(
                        f"First class means: {done} batches gave every class {images_per_class} images or more."
                    )
                    break
        model.train()


def images_with(patches: Tensor, num_classes: int) -> Tensor:
    """Count, over all processes, the images that have a patch of each class: (B, N) labels -> (C,)."""
    void = (patches < 0) | (patches >= num_classes)
    holds = torch.zeros(len(patches), num_classes + 1, dtype=torch.long, device=patches.device)
    holds.scatter_(1, patches.masked_fill(void, num_classes), 1)
    count = holds[:, :-1].sum(dim=0)
    all_reduce(count)
    return count.cpu()


def batch_size(runner: Runner) -> int:
    """Images in a batch of a process."""
    loader = runner.train_dataloader
    return loader.batch_size or loader.batch_sampler.batch_size


def _loader(runner: Runner, seed: int) -> DataLoader:
    """A loader of its own, for the training sampler must not be moved on."""
    loader = runner.train_dataloader
    return DataLoader(
        loader.dataset,
        batch_size=batch_size(runner),
        sampler=DefaultSampler(loader.dataset, shuffle=True, seed=seed),
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        worker_init_fn=partial(worker_init_fn, num_workers=loader.num_workers, rank=get_rank(), seed=seed),
    )


@contextmanager
def _random_numbers_of_its_own(seed: int) -> Iterator[None]:
    states = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            random.seed(seed)
            np.random.seed(seed)
            torch.random.default_generator.manual_seed(seed)  # that of the CPU alone: no other is drawn from here
            yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
