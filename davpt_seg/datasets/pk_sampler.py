"""Sampler of batches of P classes with K images each, for metric losses and class means."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Optional

import numpy as np
from mmengine.dist import get_dist_info, sync_random_seed
from mmengine.registry import DATA_SAMPLERS
from torch.utils.data import Sampler

from ..core.annotations import Count, Seed
from ..core.arguments import checked
from ..errors import InputError
from .pipelines import step_name


@DATA_SAMPLERS.register_module()
class PKSampler(Sampler[int]):
    """Draw indices so that each ``batch_size`` in a row hold P classes with K images each.

    P is ``classes_per_batch``, or less if there are fewer classes or the batch is smaller; K is ``batch_size // P``,
    and remaining images are given to the classes of the batch with the fewest so far. Classes are drawn in random
    rounds, so all appear equally often, whatever their number of images. So are the images of a class: none appears
    again before all others of its class, and none twice in a batch unless its class has fewer than K images.

    An epoch has about the data set's number of images, in complete batches, the same number on each process. Its
    batches are those of one process, distributed in turn: their order depends only on seed and epoch.

    ``dict(batch_size=32, sampler=dict(type="PKSampler", batch_size=32, classes_per_batch=16))`` in a data loader:
    a sampler does not see its loader, so both need the batch size of one process (``check_batch_size``).

    Args:
        dataset: data set whose items have a ``gt_label``, one class each; MMEngine's wrappers of such data sets work.
        batch_size: batch size of the data loader, on one process.
        classes_per_batch: largest P.
        seed: random seed; None draws one that all processes share.

    Raises:
        ValueError: a size below 1, an empty data set, or images without exactly one class.
    """

    @checked("PKSampler")
    def __init__(
        self, dataset: Any, batch_size: Count, classes_per_batch: Count = 16, seed: Optional[Seed] = None
    ) -> None:
        labels = image_labels(dataset)
        self.images = [np.flatnonzero(labels == label).tolist() for label in np.unique(labels)]  # of each class
        self.batch_size = batch_size
        self.classes_per_batch = min(classes_per_batch, batch_size, len(self.images))
        self.rank, self.world_size = get_dist_info()
        self.num_batches = math.ceil(len(labels) / (batch_size * self.world_size))  # of this process
        self.seed = sync_random_seed() if seed is None else seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch to draw."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return the number of images of this process in an epoch."""
        return self.num_batches * self.batch_size

    def __iter__(self) -> Iterator[int]:
        """Draw an epoch: this process's share of its batches."""
        for number, batch in zip(range(self.num_batches * self.world_size), self._batches()):
            if number % self.world_size == self.rank:
                yield from batch

    def _batches(self) -> Iterator[list[int]]:
        rng = np.random.default_rng((self.seed, self.epoch))
        classes = Rounds(range(len(self.images)), rng)
        images = [Rounds(indices, rng) for indices in self.images]
        drawn = [0] * len(images)
        least, remainder = divmod(self.batch_size, self.classes_per_batch)
        while True:
            chosen = classes.draw(self.classes_per_batch)
            one_more = sorted(chosen, key=lambda c: drawn[c])[:remainder]
            counts = {c: least + (c in one_more) for c in chosen}
            for c, count in counts.items():
                drawn[c] += count
            yield list(chain.from_iterable(images[c].draw(count) for c, count in counts.items()))


def check_batch_size(loader: Mapping[str, Any]) -> None:
    """Check that a data loader's config and its PKSampler have the same batch size.

    Args:
        loader: config of a data loader.

    Raises:
        ValueError: the two sizes differ.
    """
    sampler = loader.get("sampler") or {}
    if step_name(sampler) != PKSampler.__name__ or sampler.get("batch_size") == loader.get("batch_size"):
        return
    raise InputError(
        f"the data loader's batch_size is {loader.get('batch_size')}, but that of its sampler PKSampler "
        f"{sampler.get('batch_size')}: its batches would not be P classes with K images; set both, for instance "
        "--cfg-options train_dataloader.batch_size=16 train_dataloader.sampler.batch_size=16"
    )


class Rounds:
    """Items in random rounds: all items appear before any appears again.

    Args:
        items: items to draw, at least one.
        rng: generator that shuffles every round.
    """

    def __init__(self, items: Sequence[int], rng: np.random.Generator) -> None:
        self.items, self.rng = items, rng
        self.left: list[int] = []

    def draw(self, count: int) -> list[int]:
        """Take the next items; they are different if there are enough."""
        taken: list[int] = []
        while len(taken) < count:
            if not self.left:
                self.left = self.rng.permutation(self.items).tolist()
                self.left.sort(key=taken.__contains__)  # items that were just taken come last in the new round
            taken.append(self.left.pop(0))
        return taken


def image_labels(dataset: Any) -> np.ndarray:
    """Read the class of every image of a data set, without loading images: (N,) integers.

    Raises:
        ValueError: there are no images, or an image does not have exactly one class.
    """
    labels = []
    for i in range(len(dataset)):
        label = dataset.get_data_info(i).get("gt_label")
        if np.ndim(label) or not isinstance(label, (int, np.integer)):
            raise InputError(
                f"PKSampler needs images of one class each, but item {i} of {type(dataset).__name__} has "
                f"gt_label={label!r}; for other data take DefaultSampler"
            )
        labels.append(int(label))
    if not labels:
        raise InputError(f"PKSampler: {type(dataset).__name__} has no images")
    return np.array(labels)
