"""Division of a training set into two parts: one to train on, one to choose hyper-parameters on."""

from __future__ import annotations

from collections.abc import Mapping
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
def training_part(dataset: Mapping[str, Any], part: str, seed: int = 0) -> BaseDataset:
    """Build a training set and keep one of two disjoint parts.

    Many segmentation sets have no third split. A score on the validation set is biased if the learning rate was chosen
    there. ``filter_cfg``, by which a detector's training set omits images without objects, holds for the training part:
    what is held out has them, as a validation set has, so that scores count what is found in them.

    Args:
        dataset: config of the training set, with the pipeline for this part.
        part: ``train``, or ``val``: a fifth of the images, 1,000 at most.
        seed: seed of the draw. The same seed gives the same parts on every machine and in every process.

    Raises:
        ValueError: an unknown part, fewer than two images, none that ``filter_cfg`` keeps, or ``indices`` beside it.
    """
    if part not in PARTS:
        raise InputError(f"TrainingPart part must be one of {PARTS}, got {part!r}")
    if dataset.get("filter_cfg") and dataset.get("indices") is not None:
        raise InputError(
            "TrainingPart divides images before filter_cfg, and indices would choose among the rest; for a few images, "
            "set train_images=N, or indices=None"
        )
    if dataset.get("filter_cfg"):
        built = _divided_before_filter(dataset, part, seed)
    else:
        built = DATASETS.build(dataset)
        built.full_init()
        built.get_subset_(_indices(len(built), part, seed))
    built.split = part
    return built


def _divided_before_filter(dataset: Mapping[str, Any], part: str, seed: int) -> BaseDataset:
    """Build one part; MMEngine filters a list while it is read, so the list is divided there."""
    built: BaseDataset = DATASETS.build({**dataset, "lazy_init": True})
    filter_data = built.filter_data

    def divide_and_filter() -> list[dict[str, Any]]:
        built.data_list = [built.data_list[index] for index in _indices(len(built.data_list), part, seed)]
        kept = filter_data() if part == "train" else built.data_list
        if not kept:
            raise InputError(f"TrainingPart: filter_cfg={dict(dataset['filter_cfg'])} keeps no image for training")
        return kept

    built.filter_data = divide_and_filter  # type: ignore[method-assign]
    built.full_init()
    del built.filter_data  # the class's again, so that the data set can be pickled
    return built


def _indices(count: int, part: str, seed: int) -> list[int]:
    if count < 2:
        raise InputError(f"TrainingPart needs at least two images, the data set has {count}")
    held_out = np.random.default_rng(seed).choice(count, size=held_out_count(count), replace=False)
    rest = np.setdiff1d(np.arange(count), held_out)
    return [int(index) for index in (rest if part == "train" else np.sort(held_out))]
