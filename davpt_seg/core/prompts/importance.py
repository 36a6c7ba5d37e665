"""Importance of prompts and of their segments, by which E2VPT prunes them (arXiv 2307.13770)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor

from ...errors import InputError
from ..annotations import Count
from ..arguments import checked
from .prompts import Prompts

Batch = TypeVar("Batch")


class Importance(NamedTuple):
    """Importance of each prompt, (M,), and of each of its segments, (M, S)."""

    prompts: Tensor
    segments: Tensor

    def ranked(self, by: str) -> Importance:
        """Rank prompts by ``masks`` on them, as measured, or by the sum of the importances of their ``segments``."""
        return self if by == "masks" else Importance(self.segments.sum(dim=1), self.segments)


@checked("prompt_importance")
def prompt_importance(
    prompts: Prompts,
    batches: Iterable[Batch],
    loss: Callable[[Batch], Tensor],
    segments: Count = 16,
    signed: bool = False,
) -> Importance:
    """Measure the importance of trained prompts on held-out data (E2VPT, arXiv 2307.13770, Sec. 3.3).

    Importance is the mean over batches of the absolute gradient of the loss with respect to a mask of 1 that multiplies
    a prompt (or a segment) in all blocks. This gradient is the sum of the products of the prompt and its gradient, so
    no mask is needed. With ``start="offset"`` the mask multiplies the initial prompts, too, so that 0 removes the
    prompt. In the released code the masks are trained with the prompts (which they only rescale), gradients are taken
    on training data and summed with their signs, and segments are interleaved (every S-th channel); here segments are
    contiguous.

    Args:
        prompts: prompts of the model, the same number M in each block that has any.
        batches: held-out data with labels. The caller chooses the model's mode (eval mode, say).
        loss: function from a batch to the model's loss, a scalar with gradients.
        segments: number S of segments of a prompt.
        signed: whether to keep the signs, as the released code does; the most negative are then the least important.

    Raises:
        InputError: blocks with different numbers of prompts, pruned prompts, segments that do not divide the width, or
            no batch.
    """
    learned = [*prompts.values.values(), *(prompts.initial.buffers() if prompts.initial is not None else ())]
    if len({len(values) for values in learned}) != 1 or prompts.segments is not None:
        raise InputError(f"pruning needs complete prompts, the same number in each block; got {prompts.counts}")
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
    """Enable gradients of tensors within a context, also for initial values of prompts."""
    before = [tensor.requires_grad for tensor in tensors]
    for tensor in tensors:
        tensor.requires_grad_(True)
    try:
        yield
    finally:
        for tensor, required in zip(tensors, before):
            tensor.requires_grad_(required)


def pruned(importance: Importance, prompt_share: float, segment_share: float) -> dict[str, Any]:
    """Return the config of the prompts that stay, to be trained again from new initial values.

    Args:
        importance: importance of the trained prompts.
        prompt_share: share of the least important prompts to remove. The released code tries 0.1 to 0.9.
        segment_share: share of the segments to remove from each prompt that stays. The released code tries 0.1 to 0.9,
            but keeps at least 4 of 16.

    Returns:
        ``num_prompts`` and ``segments`` of :class:`~davpt_seg.core.prompts.Prompts`, as literals, so that a config
        (and with it a checkpoint) holds them.

    Raises:
        InputError: a share outside [0, 1), or one that removes everything.
    """
    kept = staying(importance, prompt_share, segment_share)
    rows = kept[kept.any(dim=1)]
    return dict(num_prompts=len(rows), segments=["".join("01"[int(bit)] for bit in row) for row in rows])


@checked("pruning")
def staying(importance: Importance, prompt_share: float, segment_share: float) -> Tensor:
    """Return which segments :func:`pruned` keeps, (M, S) bool; arguments and errors are the same."""
    for what, share, number in (
        ("prompt_share", prompt_share, len(importance.prompts)),
        ("segment_share", segment_share, importance.segments.shape[1]),
    ):
        if not 0 <= share < 1 or round(share * number) >= number:
            raise InputError(
                f"pruning {what}={share} of {number} must be at least 0 and leave one; E2VPT (arXiv 2307.13770) tries "
                "0.1 to 0.9"
            )
    segments = torch.stack([_most_important(scores, segment_share) for scores in importance.segments])
    return segments & _most_important(importance.prompts, prompt_share)[:, None]


def _most_important(scores: Tensor, removed_share: float) -> Tensor:
    """Return a mask of all but the least important."""
    removed = scores.argsort(stable=True)[: round(removed_share * len(scores))]
    return torch.ones_like(scores, dtype=torch.bool).index_fill(0, removed, False)
