"""E2VPT's pruning: find the prompts, and the segments of prompts, that matter least, and go on without them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ...errors import InputError
from ..annotations import Count
from ..arguments import checked
from ..prompts import Prompts

Batch = TypeVar("Batch")


class Importance(NamedTuple):
    """How much the loss depends on each prompt, (M,), and on each segment of it, (M, segments)."""

    prompts: Tensor
    segments: Tensor


@checked("prompt_importance")
def prompt_importance(
    prompts: Prompts,
    batches: Iterable[Batch],
    loss: Callable[[Batch], Tensor],
    segments: Count = 16,
    signed: bool = False,
) -> Importance:
    """Measure the importance of trained prompts on held-out data (E2VPT, arXiv 2307.13770, Sec. 3.3).

    It is the mean over batches of the absolute gradient of the loss with respect to a mask that multiplies a prompt (or
    a segment) in all blocks, and is 1. That gradient is the product of the prompt and its own gradient, summed up, so
    no mask is needed to take it. With ``start="offset"`` the mask multiplies the initial prompts as well, so that 0 is
    the removal of a prompt there too. The released code differs: its masks start at 1 but are trained along with the
    prompts (which they only rescale), its gradients are of training data and added up with their signs, and its
    segments are interleaved (every 16th channel), where ours are contiguous.

    Args:
        prompts: the model's; in every block as many, or none.
        batches: of held-out data, with labels; the model's mode is the caller's (eval mode, say).
        loss: of the whole model on a batch, a scalar with gradients.
        segments: of a prompt.
        signed: keep the signs, as the released code does; the least important are then the most negative.

    Raises:
        ValueError: blocks with different numbers of prompts, pruned prompts, segments that do not divide the width, or
            no batch.
    """
    learned = [*prompts.values.values(), *(prompts.initial.buffers() if prompts.initial is not None else ())]
    if len({len(values) for values in learned}) != 1 or prompts.segments is not None:
        raise InputError(f"pruning needs prompts that were not pruned, as many in each block, got {prompts.counts}")
    count, width = learned[0].shape
    if width % segments:
        raise InputError(f"pruning: {segments} segments do not divide the width {width}")
    total = torch.zeros(count, segments + 1, dtype=torch.float64)
    number = 0
    for batch in batches:
        with _with_gradients(learned):
            gradients = torch.autograd.grad(loss(batch), learned)
        products = sum((g * p.detach()).double() for g, p in zip(gradients, learned))
        assert isinstance(products, Tensor)
        of_segments = products.unflatten(1, (segments, -1)).sum(dim=2).cpu()  # (M, segments)
        gradient = torch.cat([of_segments.sum(dim=1, keepdim=True), of_segments], dim=1)  # of the masks
        total += gradient if signed else gradient.abs()
        number += 1
    if not number:
        raise InputError("pruning needs at least one batch of held-out data")
    return Importance(total[:, 0] / number, total[:, 1:] / number)


@contextmanager
def _with_gradients(tensors: Sequence[Tensor]) -> Iterator[None]:
    """Let all tensors have gradients, the initial values of prompts too, for as long as the context lasts."""
    before = [tensor.requires_grad for tensor in tensors]
    for tensor in tensors:
        tensor.requires_grad_(True)
    try:
        yield
    finally:
        for tensor, required in zip(tensors, before):
            tensor.requires_grad_(required)


def pruned(importance: Importance, prompt_share: float, segment_share: float) -> dict[str, Any]:
    """Choose what stays: a config of prompts to train anew, from fresh values.

    Args:
        importance: of the trained prompts.
        prompt_share: of the prompts that are removed, the least important. The released code tries 0.1 to 0.9.
        segment_share: of each remaining prompt's segments that are removed. The released code tries 0.1 to 0.9, but
            leaves at least 4 of 16.

    Returns:
        ``num_prompts`` and ``segments`` of :class:`~davpt_seg.core.prompts.Prompts`; as literals, so that a config and
        with it a checkpoint holds them.

    Raises:
        ValueError: a share outside [0, 1), or one that leaves nothing.
    """
    kept = staying(importance, prompt_share, segment_share)
    rows = kept[kept.any(dim=1)]
    return dict(num_prompts=len(rows), segments=["".join("01"[int(bit)] for bit in row) for row in rows])


@checked("pruning")
def staying(importance: Importance, prompt_share: float, segment_share: float) -> Tensor:
    """Mark the segments that :func:`pruned` leaves, (M, segments) bool, with the same arguments and errors."""
    for what, share, number in (
        ("prompt_share", prompt_share, len(importance.prompts)),
        ("segment_share", segment_share, importance.segments.shape[1]),
    ):
        if not 0 <= share < 1 or round(share * number) >= number:
            raise InputError(f"pruning {what}={share} of {number} must be at least 0 and leave one")
    segments = torch.stack([_most_important(scores, segment_share) for scores in importance.segments])
    return segments & _most_important(importance.prompts, prompt_share)[:, None]


def _most_important(scores: Tensor, removed_share: float) -> Tensor:
    """Mark all but the least important, as bool."""
    removed = scores.argsort(stable=True)[: round(removed_share * len(scores))]
    return torch.ones_like(scores, dtype=torch.bool).index_fill(0, removed, False)
