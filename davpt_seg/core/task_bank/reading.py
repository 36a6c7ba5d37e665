"""The outputs of each image, as its task's own model returns them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor

from ..features import Features, image_tokens, to_map
from .groups import Group, places_by
from .task import NORM, Task
from .walk import Walk, with_parameters


class Reader:
    """Collects the outputs of a batch, block by block.

    Args:
        walk: what runs the trunk's modules.
        images: (B, 3, H, W).
        tasks: a task for each image.
        grid: patches (h, w) of an image.
        patches: places of the patches among the tokens.
    """

    def __init__(
        self, walk: Walk, images: Tensor, tasks: Sequence[Task], grid: tuple[int, int], patches: slice
    ) -> None:
        self.walk, self.images, self.tasks, self.grid, self.patches = walk, images, tasks, grid, patches
        self.maps: list[dict[int, Tensor]] = [{} for _ in tasks]
        self.class_tokens: dict[int, Tensor] = {}
        self.mean_tokens: dict[int, Tensor] = {}

    def read(self, block: int, groups: Sequence[Group]) -> None:
        """Read what left a block."""
        for group in groups:
            own = [self.tasks[row] for row in group.rows]
            mapped = [place for place, task in enumerate(own) if task.wants_maps and block in task.out_indices]
            if mapped:
                self._read_maps(block, Group(tuple(group.rows[place] for place in mapped), group.only(mapped)))
            if block == len(self.walk.families) - 1:
                self._read_tokens(group)

    def features(self) -> list[Features]:
        """Return each image's features, as of a batch of one."""
        return [
            Features(
                self.class_tokens.get(row),
                self.mean_tokens.get(row),
                tuple(self.maps[row][i] for i in task.out_indices) if task.wants_maps else (),
                (),
            )
            for row, task in enumerate(self.tasks)
        ]

    def _read_maps(self, block: int, group: Group) -> None:
        def key(row: int) -> tuple[bool, object]:
            task = self.tasks[row]
            return task.norm_maps, task if task.norm_maps and task.tuned_in(NORM) else None

        for places in places_by(group.rows, key).values():
            tasks = [self.tasks[group.rows[place]] for place in places]
            norm = tasks[0].norm_maps
            read = partial(to_map, self.walk.trunk, group.only(places)[:, self.patches], self.images, self.grid, norm)
            with self.walk.running(tasks):
                maps = with_parameters(self.walk.trunk, tasks[0].tuned_in(NORM) if norm else {}, read)
            for place, own in zip(places, maps.split(1)):
                self.maps[group.rows[place]][block] = own

    def _read_tokens(self, group: Group) -> None:
        def key(row: int) -> tuple[frozenset[str], bool, object]:
            task = self.tasks[row]
            return task.outputs - {"maps"}, task.pool_prompts, task if task.tuned_in(NORM) else None

        for places in places_by(group.rows, key).values():
            tasks = [self.tasks[group.rows[place]] for place in places]
            pooled = slice(self.patches.start, None) if tasks[0].pool_prompts else self.patches
            read = partial(image_tokens, self.walk.trunk, group.only(places), pooled, tasks[0].outputs)
            with self.walk.running(tasks):
                found = with_parameters(self.walk.trunk, tasks[0].tuned_in(NORM), read)
            for tokens, kept in zip(found, (self.class_tokens, self.mean_tokens)):
                if tokens is not None:
                    kept.update(zip((group.rows[place] for place in places), tokens.split(1)))
