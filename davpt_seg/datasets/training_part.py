"""Division of a training set into two parts: one to train on, one to choose hyper-parameters on."""

from __future__ import annotations

from typing import Any

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ..errors import InputError

PARTS = ("train", "val")
SHARE, MOST = 5, 1000  # a fifth is held out, and no more images than this


def held_out_count(count: int) -> int:
    """Return how many of a training set's images are for validation."""
    return min(max(count // SHARE, 1), MOST)


@DATASETS.register_module(name="TrainingPart")
def training_part(dataset: dict[str, Any], part: str, seed: int = 0) -> BaseDataset:
    """Build a training set and keep one of two disjoint parts.

    Many segmentation sets have no third split. A score on the validation set is biased if the learning rate was chosen
    there.

    Args:
        dataset: config of the training set, with the pipeline for this part.
        part: ``train``, or ``val``: a fifth of the images, 1,000 at most.
        seed: seed of the draw. The same seed gives the same parts on every machine and in every process.

    Raises:
        ValueError: an unknown part, or fewer than two images.
    """
    if part not in PARTS:
        raise InputError(f"TrainingPart part must be one of {PARTS}, got {part!r}")
    built: BaseDataset = DATASETS.build(dataset)
    built.full_init()
    count = len(built)
    if count < 2:
        raise InputError(f"TrainingPart needs at least two images, the data set has {count}")
    held_out = np.random.default_rng(seed).choice(count, size=held_out_count(count), replace=False)
    rest = np.setdiff1d(np.arange(count), held_out)
    built.get_subset_([int(index) for index in (rest if part == "train" else np.sort(held_out))])
    built.split = part
    return built
