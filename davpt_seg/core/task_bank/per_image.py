"""Tensors of several tasks side by side, one for each image of a batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Optional, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..projection import KeyValue

Part = TypeVar("Part")


def all_one(parts: Sequence[object]) -> bool:
    """Return whether all images have the very same part."""
    return all(part is parts[0] for part in parts)


def where_present(
    parts: Sequence[Optional[Part]], change: Callable[..., Tensor], entering: Tensor, leaving: Tensor
) -> Tensor:
    """Change a module's output for the images whose task has a part in it.

    Args:
        parts: each image's, or None.
        change: takes the parts that there are, and inputs and outputs of their images; returns the changed outputs.
        entering: the module's input, (B, ...).
        leaving: its output, (B, ...).
    """
    rows = [row for row, part in enumerate(parts) if part is not None]
    if not rows:
        return leaving
    found = [parts[row] for row in rows]
    if len(rows) == len(parts):
        return change(found, entering, leaving)
    places = torch.tensor(rows, device=leaving.device)
    changed = change(found, entering.index_select(0, places), leaving.index_select(0, places))
    return leaving.index_copy(0, places, changed.to(leaving.dtype))


def linear(entering: Tensor, weights: Sequence[Tensor], biases: Optional[Sequence[Tensor]] = None) -> Tensor:
    """Apply each image's own linear layer to its tokens (B, N, inputs), in one product: (B, N, outputs).

    Args:
        entering: tokens.
        weights: transposed, (inputs, outputs) each. Fewer inputs than tokens have channels are filled up by zeros, and
            so are fewer outputs than the largest number.
        biases: (outputs,) each, or None.
    """
    if all_one(weights) and weights[0].shape[0] == entering.shape[-1]:
        return F.linear(entering, weights[0].T, None if biases is None else biases[0])
    inputs, outputs = entering.shape[-1], max(weight.shape[1] for weight in weights)
    sides = [F.pad(weight, (0, outputs - weight.shape[1], 0, inputs - weight.shape[0])) for weight in weights]
    if biases is None:
        return torch.bmm(entering, torch.stack(sides))
    return torch.baddbmm(pad_sequence(list(biases), batch_first=True)[:, None], entering, torch.stack(sides))


def vectors(found: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return a factor or summand of each image's channels (C,), shaped for ``like``, (B, ..., C), and in its type."""
    if all_one(found):
        return found[0].to(like.dtype)
    return torch.stack(list(found)).view(len(found), *[1] * (like.dim() - 2), -1).to(like.dtype)


def with_default(found: Sequence[Optional[Tensor]], default: float) -> Optional[Tensor]:
    """Stack tensors of one shape (C,), with a constant in place of None: (B, C).

    Where all images have the same, it is returned as it is, (C,); None where no image has one.
    """
    if all_one(found):
        return found[0]
    like = next(each for each in found if each is not None)
    constant = torch.full_like(like, default)
    return torch.stack([constant if each is None else each for each in found])


def keys_and_values(pairs: Sequence[Optional[KeyValue]], apart: bool) -> Optional[KeyValue]:
    """Put each image's keys and values (n, heads, head_dim) side by side, (B, n, heads, head_dim), with a mask.

    Smaller numbers are filled up to the largest by zeros, which the mask excludes.

    Args:
        pairs: each image's, or None.
        apart: whether they have a separate softmax. One over nothing is undefined, so an image without any is not
            masked: its values, all of them zero, add nothing.

    Returns:
        Those that all images share, (n, heads, head_dim), if they are the same; None where no image has any.
    """
    if all_one(pairs):
        return pairs[0]
    counts = [0 if pair is None else pair.key.shape[0] for pair in pairs]
    some = next(pair for pair in pairs if pair is not None)
    nothing = KeyValue(some.key[:0], some.value[:0])
    sides = zip(*(nothing[:2] if pair is None else pair[:2] for pair in pairs))
    if len(set(counts)) == 1:
        key, value = (torch.stack(side) for side in sides)
        return KeyValue(key, value)
    key, value = (pad_sequence(list(side), batch_first=True) for side in sides)
    number = torch.tensor(counts)[:, None]
    filled = torch.arange(key.shape[1]) >= number  # (B, n)
    if apart:
        filled &= number > 0
    mask = torch.zeros(filled.shape).masked_fill(filled, -torch.inf)
    return KeyValue(key, value, mask[:, None, None].to(key.device))
