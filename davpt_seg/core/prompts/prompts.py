"""Learned prompts: separate ones in every block (VPT-Deep), or one set for all blocks (VPT-Shallow)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...errors import InputError
from ..annotations import Count, Number, OneOf, Probability, Range, SizeOrZero
from ..arguments import checked
from ..reading import unread_block
from .gates import Gates
from .segments import Segments
from .zero_start import STARTS, InitialValues, check_start

KINDS = ("deep", "shallow", "gated")
NORMS = ("none", "l2", "layer")
INITS = ("vpt", "xavier", "release", "prototypes")


class Prompts(nn.Module):
    """Prompts of all blocks (VPT, arXiv 2203.12119).

    Deep prompts join their block as keys and values, and are dropped after it. Prompts of the ``carry`` block are
    persistent: they join the sequence and stay in it, so that they attend, and later blocks read their outputs. Shallow
    prompts are persistent prompts of the first block, and the only ones. Gated prompts (GateVPT, arXiv 2306.05067) are
    shallow prompts that pass a learned gate between blocks, while each block's attention has a learned temperature.

    Args:
        num_prompts: prompts in each block: one number for all, or one per block; 0 for no prompts. For shallow or
            gated prompts, their number.
        depth: number of blocks.
        embed_dim: width D.
        patch_size: (height, width) of a patch, which sets the range of VPT's initial values.
        kind: ``deep``, ``shallow`` or ``gated``.
        carry: block of the persistent prompts, counted from 0; None for no persistent prompts.
        start: way to join the tokens' attention: in its softmax (``joint``, VPT), or in a separate softmax whose output
            starts at zero, with values as differences to the initial ones (``offset``) or with a learned gate that
            starts at 0 (``gate``). See :mod:`davpt_seg.core.prompts.zero_start`.
        init: initial values: uniform within +-sqrt(6 / (3 * patch area + D)), as in VPT (``vpt``), within
            +-sqrt(6 / (M + D)) (``xavier``), or within +-sqrt(6 / ((M + layers) D)) (``release``): the released code of
            DA-VPT (arXiv 2505.23694) draws one tensor (layers, M, D) for the guided blocks and one for the others by
            ``xavier_uniform_``, whose fans are M D and layers D. Blocks with another number of prompts are drawn
            separately, too. ``prototypes`` are prototypes of the data: values are as for ``vpt`` until
            :func:`davpt_seg.core.prototypes.prototypes` has replaced them, and a model refuses to train before.
        init_scale: factor on the initial values of ``release``, at most 1; 1/8 in most released configs.
        dropout: prompt dropout, drawn once per batch, because a batch shares its prompts.
        norm: normalisation of the prompts before they enter a block: ``none``, ``l2`` (unit length) or ``layer``
            (zero mean, unit variance).
        gate_start: initial gates of gated prompts, see :class:`~davpt_seg.core.prompts.gates.Gates`.
        segments: segments of pruned prompts that stay, see
            :class:`~davpt_seg.core.prompts.segments.Segments`; None: all.
        num_heads: heads of a block's attention; ``start="gate"`` has one gate per head.
        last: last block that is run, counted from 0; later ones get no prompts. Default: the last of all.
        guided: guided blocks, counted from 0; used by ``release`` only.

    Raises:
        ValueError: a count that is negative or not one per block, a carry block without prompts, segments of another
            number of prompts, an unknown kind, start, init or norm, or persistent prompts that start at zero.
    """

    @checked("prompts")
    def __init__(
        self,
        num_prompts: Annotated[Union[SizeOrZero, Sequence[SizeOrZero]], "a list holds one number per block"],
        depth: Count,
        embed_dim: Count,
        patch_size: tuple[int, int],
        kind: Annotated[str, OneOf(KINDS)] = "deep",
        carry: Optional[int] = None,
        start: Annotated[str, OneOf(STARTS)] = "joint",
        init: Annotated[str, OneOf(INITS)] = "vpt",
        dropout: Probability = 0.0,
        norm: Annotated[str, OneOf(NORMS)] = "none",
        gate_start: float = -5.0,
        segments: Optional[Sequence[str]] = None,
        num_heads: Count = 1,
        last: Optional[Number] = None,
        init_scale: Annotated[float, Range(above=0, most=1)] = 1.0,
        guided: Sequence[Number] = (),
    ) -> None:
        super().__init__()
        last = depth - 1 if last is None else last
        self.counts = _counts(num_prompts, depth, kind, last)
        self.carry = _carry(carry, self.counts, kind, last)
        if init_scale != 1 and init != "release":
            raise InputError(f"prompts init_scale={init_scale} is for init='release'; set it to 1 for init={init!r}")
        check_start(start, kind, carry)
        self.start = start
        self.norm = norm
        self.dropout = nn.Dropout(dropout)
        self.gates = Gates(last + 1, gate_start) if kind == "gated" else None
        self.segments = None if segments is None else Segments(segments, embed_dim)
        if self.segments and set(self.counts) - {0, self.segments.num_prompts}:
            raise InputError(f"prompts segments are of {self.segments.num_prompts} prompts, num_prompts {self.counts}")
        if self.segments and init == "prototypes":
            raise InputError(
                "prompts init='prototypes' starts complete prompts, but segments are given; omit one of them"
            )
        self.values = nn.ParameterDict(
            {
                str(i): nn.Parameter(torch.empty(self.segments.shape if self.segments else (count, embed_dim)))
                for i, count in enumerate(self.counts)
                if count
            }
        )
        self.head_gates = nn.ParameterDict()
        if start == "gate":
            self.head_gates.update({block: nn.Parameter(torch.zeros(num_heads)) for block in self.values})
        self.initial = InitialValues() if start == "offset" else None
        self.embed_dim = embed_dim
        self.reset_parameters(patch_size, init, init_scale, guided)
        self.awaits_prototypes = init == "prototypes" and bool(self.values)

    def reset_parameters(
        self, patch_size: tuple[int, int], init: str = "vpt", scale: float = 1.0, guided: Sequence[int] = ()
    ) -> None:
        """Draw new initial values."""
        kinds = [(i in guided, count) for i, count in enumerate(self.counts)]
        for block, values in self.values.items():
            count = self.counts[int(block)]
            fans = 3 * patch_size[0] * patch_size[1] + self.embed_dim
            if init == "xavier":
                fans = count + self.embed_dim
            elif init == "release":
                fans = (count + kinds.count(kinds[int(block)])) * self.embed_dim
            bound = scale * math.sqrt(6.0 / fans)
            nn.init.uniform_(values, -bound, bound)
        self.keep_initial()

    def keep_initial(self) -> None:
        """Store the current values as the initial ones, which ``start="offset"`` subtracts."""
        self.awaits_prototypes = False
        if self.initial is not None:
            for block, values in self.values.items():
                self.initial.keep(block, values)

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        super()._load_from_state_dict(state_dict, prefix, *args)
        found = {block: state_dict.get(f"{prefix}values.{block}") for block in self.values}
        if all(value is not None and value.shape == self.values[block].shape for block, value in found.items()):
            self.awaits_prototypes = False

    def forward(self, block: int) -> Optional[Tensor]:
        """Return the prompts of a block, (M, D), or None if it has none."""
        return self.entering(block)[0]

    def entering(self, block: int) -> tuple[Optional[Tensor], Optional[Tensor]]:
        """Return the prompts of a block, (M, D), and with ``start="offset"`` the initial ones; None if there are none.

        Both have the same dropout.
        """
        if not self.counts[block]:
            return None, None
        values = self._shaped(self.values[str(block)])
        if self.initial is None:
            return self.dropout(values), None
        mask = self.dropout(torch.ones_like(values))
        return values * mask, self._shaped(self.initial(str(block))) * mask

    def gate(self, block: int) -> Optional[Tensor]:
        """Return tanh(g) of a block, (heads,), or None if it has no gates."""
        key = str(block)
        return self.head_gates[key].tanh() if key in self.head_gates else None

    def _shaped(self, values: Tensor) -> Tensor:
        """Return the prompts (M, D) of stored values."""
        if self.segments:
            values = self.segments(values)
        if self.norm == "l2":
            values = F.normalize(values, dim=-1)
        elif self.norm == "layer":
            values = F.layer_norm(values, values.shape[-1:])
        return values

    def keep_only(self, block: Optional[int]) -> Optional[Prompts]:
        """Remove the prompts of all blocks but one, or of all for None; return the rest."""
        if block is None:
            return None
        for other in set(self.values) - {str(block)}:
            del self.values[other]
        self.counts = tuple(count if i == block else 0 for i, count in enumerate(self.counts))
        return self


def _counts(num_prompts: Union[int, Sequence[int]], depth: int, kind: str, last: int) -> tuple[int, ...]:
    if kind != "deep":
        if not isinstance(num_prompts, int) or num_prompts < 1:
            raise InputError(f"num_prompts of {kind} prompts must be one number >= 1, got {num_prompts}")
        return (num_prompts,) + (0,) * (depth - 1)
    if isinstance(num_prompts, int):
        return (num_prompts,) * (last + 1) + (0,) * (depth - last - 1)
    if len(num_prompts) != depth:
        raise InputError(f"num_prompts must be one number >= 0, or {depth} of them (one per block), got {num_prompts}")
    if any(num_prompts[last + 1 :]):
        block = next(i for i, count in enumerate(num_prompts) if count and i > last)
        raise InputError(f"num_prompts {num_prompts}: {unread_block(block, last)}; give those 0 prompts, or one number")
    return tuple(num_prompts)


def _carry(carry: Optional[int], counts: tuple[int, ...], kind: str, last: int) -> Optional[int]:
    if kind != "deep":
        if carry not in (None, 0):
            raise InputError(f"{kind} prompts are carried from block 0; carry={carry} contradicts that")
        return 0
    if carry is None:
        return None
    depth = len(counts)
    if last < carry % depth and -depth <= carry < depth:
        raise InputError(f"prompts carry {carry}: {unread_block(carry % depth, last)}")
    if not -depth <= carry < depth or not counts[carry]:
        raise InputError(f"carry {carry} must be a block with prompts; the {depth} blocks have (from 0) {counts}")
    return carry % depth
