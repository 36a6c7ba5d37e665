"""One forward pass through the trunk for images of different tasks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Optional, TypeVar

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ..attention import Changes, prompted_block
from ..blocks import Embedded, Trunk, embedding_of, family_of
from ..precision import Precision
from . import bottlenecks, places
from .groups import Group, places_by, regrouped
from .per_image import keys_and_values, where_present, with_default
from .task import EMBEDDING, Task

Result = TypeVar("Result")


class Walk:
    """A frozen trunk whose modules and blocks do for each image what its task changes in them.

    What a task changes by small tensors (keys and values, biases, temperatures, LoRA, SSF, bottlenecks) is computed per
    image in the blocks of all. Where tasks have parameters in place of the trunk's, or prompts in the sequence, images
    that differ in these run apart, block by block.

    Args:
        trunk: the ViT whose modules get hooks; no other model may use it.
        precision: how it is stored and computes.
    """

    def __init__(self, trunk: Trunk, precision: Precision) -> None:
        self.trunk = trunk
        self.precision = precision
        self.embedding = embedding_of(trunk)
        self.families = [family_of(block) for block in trunk.blocks]
        self._running: Sequence[Task] = ()
        self._hooked: set[str] = set()

    def hook(self, names: Iterable[str]) -> None:
        """Let tasks change the outputs of modules of the trunk from now on, by the modules' names."""
        for name in set(names) - self._hooked:
            self.trunk.get_submodule(name).register_forward_hook(partial(self._changed, name))
            self._hooked.add(name)

    def _changed(self, name: str, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return places.changed([task.places.get(name) for task in self._running], inputs[0], output)

    @contextmanager
    def running(self, tasks: Sequence[Task]) -> Iterator[None]:
        """Let the trunk's modules do what these tasks, one for each image, change in them."""
        before, self._running = self._running, tasks
        try:
            yield
        finally:
            self._running = before

    def blocks(self, images: Tensor, tasks: Sequence[Task]) -> Iterator[tuple[int, list[Group]]]:
        """Run images (B, 3, H, W), each of its task; yield each block, counted from 0, and what left it, in groups.

        Prompts in the sequence follow the patches, and an image leaves after the last block that its task reads.
        """
        groups, positions = self._embed(images, tasks)
        for i in range(len(self.trunk.blocks)):
            groups = regrouped(groups, partial(self._key, tasks, i), partial(self._stays, tasks, i))
            if not groups:
                return
            groups = [self._block(i, group, [tasks[row] for row in group.rows], positions) for group in groups]
            yield i, groups

    def _embed(self, images: Tensor, tasks: Sequence[Task]) -> tuple[list[Group], dict[Optional[Task], Sequence[Any]]]:
        """Return tokens, and what blocks learn about places: of tasks that change it, and of all others (None)."""
        carried = max((len(task.carried) for task in tasks if task.carried is not None), default=0)
        groups = []
        positions: dict[Optional[Task], Sequence[Any]] = {}
        by_key = places_by(range(len(tasks)), lambda row: tasks[row] if tasks[row].tuned_in(EMBEDDING) else None)
        for rows in by_key.values():
            own = [tasks[row] for row in rows]
            entering = Group(tuple(range(len(tasks))), images).only(rows)
            call = partial(self.embedding, self.trunk, entering, carried)
            with self.running(own), self.precision.computing(images.device):
                embedded: Embedded = with_parameters(self.trunk, own[0].tuned_in(EMBEDDING), call)
            groups.append(Group(tuple(rows), self.precision.stream(embedded.tokens)))
            positions[own[0] if own[0].moves else None] = embedded.positions
        return groups, positions

    def _key(self, tasks: Sequence[Task], block: int, row: int) -> Hashable:
        """Return what images that run through a block together have in common."""
        task = tasks[row]
        alone = task if task.moves or task.tuned_in(f"blocks.{block}") else None
        number = task.in_sequence(block)
        return alone, number, task.carry if number else None

    def _stays(self, tasks: Sequence[Task], block: int, row: int) -> bool:
        return block <= tasks[row].last

    def _block(
        self, i: int, group: Group, tasks: list[Task], positions: Mapping[Optional[Task], Sequence[Any]]
    ) -> Group:
        """Run a block on a group of images."""
        first, tokens, block = tasks[0], group.tokens, self.trunk.blocks[i]  # its key is that of all
        number, own = first.in_sequence(i), first.tuned_in(f"blocks.{i}")
        if first.carry == i:
            joining = torch.stack([task.carried for task in tasks if task.carried is not None])
            tokens = torch.cat([tokens, joining.to(tokens.dtype)], dim=1)
        position = positions[first if first.moves else None][i]
        run = partial(prompted_block, self.families[i], block, tokens, None, changes_of(tasks, i), position)
        with self.running(tasks), self.precision.computing(tokens.device):
            leaving = with_parameters(block, own, run)[0]
            if number:
                leaving = _gated([task.gates.get(i) for task in tasks], tokens, leaving, number)
        return group._replace(tokens=leaving)


def changes_of(tasks: Sequence[Task], block: int) -> Changes:
    """Return what each image's task changes inside a block, side by side."""
    pairs = [task.pairs.get(block) for task in tasks]
    bias = with_default([task.biases.get(block) for task in tasks], 0.0)
    temperature = with_default([task.temperatures.get(block) for task in tasks], 1.0)
    ffns = [task.bottlenecks.get(block) for task in tasks]
    return Changes(
        bias=bias if bias is None or bias.dim() == 1 else bias[:, None],
        extra=keys_and_values([None if task.apart else pair for task, pair in zip(tasks, pairs)], apart=False),
        temperature=temperature if temperature is None else temperature.view(-1, 1, 1, 1),
        ffn=partial(bottlenecks.changed, ffns) if any(ffn is not None for ffn in ffns) else None,
        apart=keys_and_values([pair if task.apart else None for task, pair in zip(tasks, pairs)], apart=True),
    )


def _gated(gates: Sequence[Optional[Tensor]], entered: Tensor, left: Tensor, number: int) -> Tensor:
    """Let the prompts at the end of the sequence pass the gate that an image's task has, see ``prompts/gates.py``."""
    prompts = where_present(gates, _mixed, entered[:, -number:], left[:, -number:])
    return torch.cat([left[:, :-number], prompts.to(left.dtype)], dim=1)


def _mixed(gates: Sequence[Tensor], entered: Tensor, left: Tensor) -> Tensor:
    gate = torch.stack(list(gates))[:, None, None]
    return gate * left + (1 - gate) * entered


def with_parameters(module: nn.Module, own: Mapping[str, Tensor], call: Callable[[], Result]) -> Result:
    """Call something that uses a module, while that has other parameters, by their names."""
    if not own:
        return call()
    named = {f"module.{name}": tensor for name, tensor in own.items()}
    return functional_call(_Calling(module), named, (call,))


class _Calling(nn.Module):
    """A module, and a call that uses it as a forward pass, for ``functional_call``."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, call: Callable[[], Result]) -> Result:
        return call()
