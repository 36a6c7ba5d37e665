"""The bank: tasks by name, and forward passes of mixed batches."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Optional

import torch
from torch import Tensor, nn

from ...errors import InputError, nearest
from ..features import Features
from ..sharded import require_complete
from ..sharing import shared_trunk
from ..trunk import require_shareable
from ..vit import PromptedViT
from .reading import Reader
from .same_trunk import SameTrunk
from .task import Task, task_of
from .walk import Walk

Head = Callable[[Features], Any]


class TaskOutput(NamedTuple):
    """What a batch gives for one of its tasks.

    Attributes:
        rows: places of the task's images in the batch.
        features: features of these images, as the task's own model returns them.
        output: what the task's head makes of them; None without a head.
    """

    rows: tuple[int, ...]
    features: Features
    output: Any


class TaskBank:
    """Tasks on one frozen ViT: added and removed by name, and mixed in one batch.

    ::

        bank = TaskBank(PromptedViT("vit_base_patch16_224", weights="vit.safetensors"))
        bank.add("street", street_model, street_head)  # models built with weights=bank.model
        bank.add("crops", crops_model, crops_head)
        outputs = bank(images, ["street", "crops", "street"])
        outputs["crops"].output  # of the second image

    A task is what its model adds to the ViT, as copies of these small tensors; the model itself can be dropped. Outputs
    equal those of the tasks' own models but for rounding. A bank only predicts: no gradients, no dropout. Its tensors
    are on the device that the ViT was on when the bank was made. Threads take turns.

    Args:
        model: prompted ViT whose trunk is the bank's: not folded, and without tuned parameters of the trunk. Its own
            prompts and adapters play no role.

    Raises:
        InputError: a model whose trunk cannot be shared.
    """

    def __init__(self, model: PromptedViT) -> None:
        _require_model(model)
        require_shareable(model)
        require_complete(model.trunk.blocks)
        self.model = model
        trunk = shared_trunk(model.trunk).eval()
        self._device = next(trunk.parameters()).device
        self._same_trunk = SameTrunk(trunk)
        self._walk = Walk(trunk, model.precision)
        self._tasks: dict[str, Task] = {}
        self._lock = threading.RLock()

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks, in the order in which they were added."""
        return tuple(self._tasks)

    @torch.no_grad()
    def add(self, name: str, model: PromptedViT, head: Optional[Head] = None) -> None:
        """Add a task.

        Args:
            name: the task's name.
            model: model that was trained on the bank's trunk; it stays as it is. Built with ``weights=bank.model``, it
                shares the trunk; a separate trunk is compared by fingerprint.
            head: takes features of some images, as ``model`` returns them, and returns the task's output. A module is
                kept, in eval mode, and not copied.

        Raises:
            InputError: a name that is taken, a model of another ViT, a folded one, or one with an unknown adapter.
        """
        if not isinstance(name, str) or not name:
            raise InputError(f"a task's name must be a text, got {name!r}")
        if head is not None and not callable(head):
            raise InputError(f"head of task {name!r} must be callable or None, got a {type(head).__name__}")
        with self._lock:
            if name in self._tasks:
                raise InputError(f"task {name!r} is in the bank already: remove it first, or choose another name")
            try:
                task = self._task(model, head)
            except InputError as error:
                raise InputError(f"task {name!r}: {error}") from error
            if isinstance(head, nn.Module):
                head.eval()
            self._walk.hook(task.places)
            self._tasks[name] = task

    def remove(self, name: str) -> None:
        """Remove a task and its tensors.

        Raises:
            InputError: an unknown name.
        """
        with self._lock:
            self._known([name])
            del self._tasks[name]

    def bytes_of(self, name: str) -> int:
        """Return the bytes of all tensors that a task adds to the bank, its head's included where that is a module.

        Raises:
            InputError: an unknown name.
        """
        return self._known([name])[0].bytes()

    def features(self, images: Tensor, tasks: Sequence[str]) -> list[Features]:
        """Encode images of any tasks in one forward pass.

        Args:
            images: (B, 3, H, W), normalised with the constants of the weights.
            tasks: name of each image's task, B.

        Returns:
            Each image's features, as its task's own model returns them for a batch of one: tokens (1, D), maps (1, D,
            h, w).

        Raises:
            InputError: an unknown name, another number of names than of images, or images of another shape.
        """
        return self._run(images, tasks)[0]

    def __call__(self, images: Tensor, tasks: Sequence[str]) -> dict[str, TaskOutput]:
        """Encode images of any tasks in one forward pass, and apply each task's head to its images.

        Args:
            images: (B, 3, H, W), normalised with the constants of the weights.
            tasks: name of each image's task, B.

        Returns:
            What each task of the batch gives, by its name.

        Raises:
            InputError: as :meth:`features` does.
        """
        features, found = self._run(images, tasks)
        outputs = {}
        for name, task in dict(zip(tasks, found)).items():
            rows = tuple(row for row, other in enumerate(tasks) if other == name)
            own = _batched([features[row] for row in rows])
            with torch.no_grad():
                outputs[name] = TaskOutput(rows, own, None if task.head is None else task.head(own))
        return outputs

    def _run(self, images: Tensor, names: Sequence[str]) -> tuple[list[Features], list[Task]]:
        if isinstance(names, str) or not isinstance(images, Tensor) or images.dim() != 4 or len(images) != len(names):
            shape = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
            raise InputError(
                f"a bank takes images (B, 3, H, W) and a list of B names of tasks, got {shape} and {names!r:.200}"
            )
        with self._lock, torch.no_grad():
            tasks = self._known(names)
            grid = self.model.grid(images)
            reader = Reader(self._walk, images, tasks, grid, self.model.patches(grid))
            for block, groups in self._walk.blocks(images, tasks):
                reader.read(block, groups)
        return reader.features(), tasks

    def _task(self, model: PromptedViT, head: Optional[Head]) -> Task:
        _require_model(model)
        if model.folded is not None:
            raise InputError("the model is folded, and a bank folds by itself; add it before fold()")
        require_complete(model.trunk.blocks)
        own = self._same_trunk.own_parameters(model)
        with _in_eval_mode(model):
            return task_of(model, own, head, self._device)

    def _known(self, names: Sequence[str]) -> list[Task]:
        for name in names:
            if name not in self._tasks:
                raise InputError(f"task {name!r} is not in the bank; {nearest(name, self._tasks)}")
        return [self._tasks[name] for name in names]


def _require_model(model: Any) -> None:
    if not isinstance(model, PromptedViT):
        raise InputError(
            f"a task bank takes prompted ViTs (PromptedViT), got a {type(model).__name__}; of a segmentor or "
            "classifier, give model.backbone"
        )
    if not model.has_weights:
        raise InputError("the ViT's weights were not read yet, so it cannot join a task bank; load a checkpoint first")


@contextmanager
def _in_eval_mode(model: nn.Module) -> Iterator[None]:
    if not model.training:
        yield
        return
    model.eval()
    try:
        yield
    finally:
        model.train()


def _batched(features: Sequence[Features]) -> Features:
    """Join features of single images of one task."""
    if len(features) == 1:
        return features[0]
    class_tokens, mean_tokens, maps, _ = zip(*features)
    return Features(
        None if class_tokens[0] is None else torch.cat(class_tokens),
        None if mean_tokens[0] is None else torch.cat(mean_tokens),
        tuple(torch.cat(each) for each in zip(*maps)),
        (),
    )
