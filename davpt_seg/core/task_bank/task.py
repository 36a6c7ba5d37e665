"""What a bank keeps of a task: the tensors that its model adds to the trunk, folded where they can be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Optional

import torch
from torch import Tensor, nn

from ..features import Features
from ..precision import without_autocast
from ..projection import KeyValue
from ..vit import PromptedViT
from .bottlenecks import Small, small
from .places import Place, places_of

#: Parameters that change what attention learns about places, in every block.
OF_POSITIONS = re.compile(r"(?:rope|rel_pos_bias)\..*|.*\.relative_position_bias_table")
EMBEDDING, NORM = "embedding", "norm"


@dataclass(frozen=True, eq=False)
class Task:
    """A task's tensors; blocks are counted from 0.

    Attributes:
        pairs: keys and values that prompts and extra keys became, (n, heads, head_dim), by block.
        apart: whether they have a separate softmax (zero-start prompts).
        biases: offsets on the biases of the projections, by block.
        temperatures: what attention scores are divided by, scalars, by block.
        gates: share of what left a block in the prompts that stay in the sequence, scalars, by block.
        bottlenecks: what changes an FFN's output, by block.
        places: what changes the output of a module of the trunk, by its name.
        tuned: parameters in place of the trunk's, by name.
        carried: prompts that stay in the sequence, (M, D), or None.
        carry: block in which they join it, or None.
        last: the last block that is run.
        out_indices: blocks whose tokens are returned as maps.
        norm_maps: the final norm is applied to maps.
        outputs: what a forward pass computes.
        pool_prompts: prompts in the sequence are part of the mean token.
        head: what is applied to its features, or None.
    """

    pairs: Mapping[int, KeyValue]
    apart: bool
    biases: Mapping[int, Tensor]
    temperatures: Mapping[int, Tensor]
    gates: Mapping[int, Tensor]
    bottlenecks: Mapping[int, Small]
    places: Mapping[str, Place]
    tuned: Mapping[str, Tensor]
    carried: Optional[Tensor]
    carry: Optional[int]
    last: int
    out_indices: tuple[int, ...]
    norm_maps: bool
    outputs: frozenset[str]
    pool_prompts: bool
    head: Optional[Callable[[Features], Any]] = None

    @cached_property
    def moves(self) -> bool:
        """Whether its images differ from others' in what attention learns about places."""
        return any(OF_POSITIONS.fullmatch(name) for name in self.tuned)

    @cached_property
    def _by_part(self) -> Mapping[str, Mapping[str, Tensor]]:
        parts: dict[str, dict[str, Tensor]] = {}
        for name, tensor in self.tuned.items():
            part, short = _part(name)
            parts.setdefault(part, {})[short] = tensor
        return parts

    def tuned_in(self, part: str) -> Mapping[str, Tensor]:
        """Return the parameters in place of those of a part, by their names in it.

        Args:
            part: ``blocks.N``, or :data:`EMBEDDING` or :data:`NORM`, whose names are the trunk's.
        """
        return self._by_part.get(part, {})

    def in_sequence(self, block: int) -> int:
        """Return the number of prompts that are in the sequence in a block."""
        if self.carry is None or self.carried is None or block < self.carry:
            return 0
        return len(self.carried)

    @property
    def wants_maps(self) -> bool:
        """Whether maps are among its outputs."""
        return "maps" in self.outputs

    def bytes(self) -> int:
        """Return the bytes of its tensors, and of its head's where that is a module."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors())

    def _tensors(self) -> Iterator[Tensor]:
        for field in fields(self):
            yield from _tensors(getattr(self, field.name))


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from (*value.parameters(), *value.buffers())
    elif isinstance(value, (Mapping, tuple)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _tensors(each)


def _part(name: str) -> tuple[str, str]:
    """Return the part of the forward pass in which a trunk's parameter is read, and its name there."""
    found = re.match(r"(blocks\.\d+)\.(.*)", name)
    if found and not OF_POSITIONS.fullmatch(name):
        return found[1], found[2]
    return (NORM if name.startswith(("norm.", "fc_norm.")) else EMBEDDING), name


def task_of(
    model: PromptedViT, tuned: Mapping[str, Tensor], head: Optional[Callable[[Features], Any]], device: torch.device
) -> Task:
    """Take out of a model what it adds to its trunk, as copies.

    Args:
        model: in eval mode, not folded.
        tuned: parameters in place of the bank's.
        head: what is applied to the task's features, or None.
        device: where the copies are kept.

    Raises:
        InputError: an adapter of an unknown kind.
    """
    run = range(model.last + 1)
    gates = model.prompts.gates if model.prompts else None
    biases = {i: offset for i in run if (offset := model.biases(i)) is not None}
    ffns = {i: small(ffn) for i in run if (ffn := model.adapters.ffn(i)) is not None}
    with without_autocast(next(model.trunk.parameters()).device):
        pairs = dict(model.keys_and_values())
        carried = None if model.prompts is None or model.carry is None else model.prompts(model.carry)
    return Task(
        pairs=_kept(pairs, device),
        apart=model.starts_at_zero,
        biases=_kept(biases, device),
        temperatures={} if gates is None else _kept({i: gates.temperature(i) for i in run}, device),
        gates={} if gates is None else _kept(dict(enumerate(gates.gates.sigmoid())), device),
        bottlenecks=_kept(ffns, device),
        places=_kept(places_of(model.trunk), device),
        tuned=_kept(tuned, device),
        carried=_kept(carried, device),
        carry=model.carry,
        last=model.last,
        out_indices=model.out_indices,
        norm_maps=model.norm_maps,
        outputs=frozenset(model.outputs),
        pool_prompts=model.pool_prompts,
        head=head,
    )


def _kept(value: Any, device: torch.device) -> Any:
    """Copy tensors, contiguous and on a device, in dicts and tuples of them."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True, memory_format=torch.contiguous_format)
    if isinstance(value, Mapping):
        return {name: _kept(each, device) for name, each in value.items()}
    if isinstance(value, tuple):
        return type(value)(*(_kept(each, device) for each in value))
    return value
