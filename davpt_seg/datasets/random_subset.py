"""Few-shot training sets: some images of a data set, drawn by a seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS

from ..core.annotations import Seed
from ..core.arguments import checked
from ..errors import InputError


@DATASETS.register_module(name="RandomSubset")
@checked("RandomSubset")
def random_subset(dataset: Mapping[str, Any], num_images: Optional[int] = None, seed: Seed = 0) -> BaseDataset:
    """Build a data set and keep only some of its images.

    Args:
        dataset: config of the data set.
        num_images: number of images that are drawn, without replacement; None keeps all.
        seed: seed of the draw. The same seed gives the same images on every machine and in every process.

    Raises:
        ValueError: fewer than one image, or more than there are.
    """
    built: BaseDataset = DATASETS.build(dataset)
    if num_images is None:
        return built
    built.full_init()
    if not 1 <= num_images <= len(built):
        raise InputError(f"RandomSubset num_images must be 1 to {len(built)}, the data set's size, got {num_images}")
    drawn = np.random.default_rng(seed).choice(len(built), size=num_images, replace=False)
    built.get_subset_(sorted(map(int, drawn)))
    return built
