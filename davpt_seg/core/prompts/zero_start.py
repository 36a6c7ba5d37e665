"""Zero-start prompts: a second softmax next to the tokens' attention, whose output starts at zero.

Random prompts that join the tokens' softmax take attention from the tokens before the first step, so that training
does not start from the pre-trained model. Here the tokens' attention is unchanged, and with
K_p = W_k norm1(P) and V_p = W_v norm1(P) a block's prompts P add::

    offset:  softmax(q K_p^T) (V_p - V_p0)     V_p - V_p0 = W_v (norm1(P) - norm1(P0)), P0 the initial prompts, fixed
    gate:    tanh(g) softmax(q K_p^T) V_p      g = 0 at the start, one parameter per head

Both are zero at the first step, and their keys and values do not depend on the image. ``gate`` is the zero-initialised
attention of LLaMA-Adapter (arXiv 2303.16199). He et al. (arXiv 2110.04366) show that keys and values of this form are a
parallel adapter whose bottleneck is a softmax over M.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Optional

import torch
from torch import Tensor, nn

from ...errors import InputError
from ..projection import KeyValue, Projected

STARTS = ("joint", "offset", "gate")


def check_start(start: str, kind: str, carry: Optional[int]) -> None:
    """Refuse a zero start of persistent prompts.

    Raises:
        ValueError: the prompts stay in the sequence, so they are tokens of each later block's softmax.
    """
    if start != "joint" and (kind != "deep" or carry is not None):
        own = f"kind={kind!r}" if kind != "deep" else f"carry={carry}"
        raise InputError(
            f"prompts start={start!r} and {own} exclude each other: prompts that stay in the sequence are tokens of "
            "each later block's attention, so the ViT could not start as the pre-trained one; choose one of the two"
        )


class Beside(NamedTuple):
    """Inputs of the second softmax, next to the tokens' attention.

    Attributes:
        initial: initial prompts, (M, D), whose values are subtracted; None to subtract nothing.
        initial_extra: initial extra values, (n, heads, head_dim), which are subtracted, too.
        gate: factor on all values, (heads,); None for 1.
    """

    initial: Optional[Tensor] = None
    initial_extra: Optional[Tensor] = None
    gate: Optional[Tensor] = None


class InitialValues(nn.Module):
    """Copies of the initial values of learned tensors, as buffers, so that checkpoints hold them."""

    def keep(self, name: str, values: Tensor) -> None:
        """Store a copy of a tensor, replacing an earlier one of that name."""
        self.register_buffer(name, values.detach().clone())

    def forward(self, name: str) -> Tensor:
        """Return the copy of that name."""
        return self.get_buffer(name)


def project_prompts(
    project: Callable[[Tensor], Projected], prompts: Tensor, initial: Optional[Tensor]
) -> tuple[Projected, KeyValue]:
    """Project prompts (M, D) as they enter a block, and return the keys and values that they add.

    A projection is affine, so the difference of two values is the projection of the inputs' difference minus that of
    zero. In this form it is exactly zero for equal inputs in every type, and has one mask of LoRA's dropout; in 16 bits
    it is rounded as a value with its bias is.

    Returns:
        The projections of the prompts; and their keys with their values, minus the values of ``initial``.
    """
    if initial is None:
        projected = project(prompts)
        return projected, KeyValue(projected.key, projected.value)
    count = prompts.shape[0]
    rows = torch.cat([prompts, prompts - initial, torch.zeros_like(prompts[:1])])  # (2 * M + 1, D)
    all_rows = project(rows)
    projected = Projected(*(side[:count] for side in all_rows))
    return projected, KeyValue(projected.key, all_rows.value[count:-1] - all_rows.value[-1:])


def joined_beside(prompts: Optional[KeyValue], extra: Optional[KeyValue], beside: Beside) -> Optional[KeyValue]:
    """Join prompts and extra keys for one softmax, with the values that they add; None if there are none."""
    if extra is not None and beside.initial_extra is not None:
        extra = extra._replace(value=extra.value - beside.initial_extra)
    sides = [side[:2] for side in (prompts, extra) if side is not None]
    if not sides:
        return None
    key, value = (torch.cat([part.to(sides[0][0].dtype) for part in parts]) for parts in zip(*sides))
    return KeyValue(key, value if beside.gate is None else value * beside.gate[:, None].to(value.dtype))
