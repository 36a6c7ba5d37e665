"""The learned inputs of each block: prompts, and what adapters, biases and gates change in it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any, Optional, TypeVar

import torch
from torch import Tensor, nn

from .adapters import Adapters
from .adapters.base import JoinedHook
from .attention import Changes
from .blocks import Embedded, Trunk
from .blocks.family import Family
from .folding import FoldedPrompts, folded_pair
from .guidance.guidance import Guidance
from .precision import Precision
from .projection import KeyValue
from .prompts.prompts import Prompts
from .prompts.zero_start import Beside
from .quantization import is_quantized
from .sharded import require_complete
from .tuning import ProjectionBiases

Own = TypeVar("Own", bound="BlockInputs")


class BlockInputs(nn.Module):
    """A module that owns all that is learned beside the trunk's own weights, and returns each block's share of it.

    Attributes:
        trunk: the ViT.
        embedding: how it embeds images.
        families: how each of its blocks is walked.
        last: its last block that is run, counted from 0.
        guidance: metric guidance, or None.
        biases: offsets on the projections' biases.
        adapters: adapters by type.
        prompts: the prompts of all blocks, or None.
        folded: keys and values in place of prompts, in a folded model; otherwise None.
        precision: how the trunk is stored and computes.
        learned_in_trunk: names of the trunk's parameters that were trained when the model was built.
        shares_trunk: whether other models have the same tensors in their trunks.
    """

    trunk: Trunk
    embedding: Callable[[Any, Tensor, int], Embedded]
    families: list[Family]
    last: int
    guidance: Optional[Guidance]
    biases: ProjectionBiases
    adapters: Adapters
    prompts: Optional[Prompts]
    folded: Optional[FoldedPrompts]
    precision: Precision
    learned_in_trunk: frozenset[str]
    shares_trunk: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> BlockInputs:
        """Copy the model with its adapters, also where its trunk was copied before."""
        made = memo[id(self)] = type(self).__new__(type(self))
        made.__dict__.update(copy.deepcopy(self.__dict__, memo))
        JoinedHook.rejoin(made.trunk, memo)
        return made

    def joining(self, block: int, prompted: bool = True) -> tuple[Optional[Tensor], Changes]:
        """Return a block's prompts (M, D), or None, and what else is learned in it.

        Args:
            block: the block, counted from 0.
            prompted: with prompts and adapters; otherwise with the biases alone.
        """
        bias = self.biases(block)
        if not prompted:
            return None, Changes(bias)
        prompts, initial = self.prompts.entering(block) if self.prompts else (None, None)
        own = self.adapters.key_value(block)
        extra, apart = None if own is None else KeyValue(own, own), None
        if self.folded:
            extra, apart = (None, self.folded(block)) if self.folded.beside else (self.folded(block), None)
        return prompts, Changes(
            bias,
            extra=extra,
            temperature=self.prompts.gates.temperature(block) if self.prompts and self.prompts.gates else None,
            ffn=self.adapters.ffn(block),
            beside=self._beside(block, initial),
            apart=apart,
        )

    def gated(self, block: int, entered: Tensor, prompts: Optional[Tensor], tokens: Tensor) -> Tensor:
        """Let the prompts among a block's output pass their gate, where they have one.

        Args:
            block: the block, counted from 0.
            entered: tokens that entered the block, (B, N, D), with the prompts at the end unless they joined in it.
            prompts: prompts (M, D) that joined the sequence in this block, or None.
            tokens: tokens that left the block, (B, N', D), with the prompts at the end.
        """
        if not self.prompts or not self.prompts.gates:
            return tokens
        before = entered[:, -self.prompts.counts[0] :] if prompts is None else prompts
        return self.prompts.gates(block, before, tokens)

    @torch.no_grad()
    def fold(self: Own) -> Own:
        """Fold what was learned into the trunk for deployment, in place; a folded model can't be trained further.

        LoRA, SSF and learned biases go into the trunk's weights (the same outputs but for rounding). Prompts that join
        as keys and values become those keys and values: bit for bit the same outputs in float32 and float64, but not
        under autocast, which would project them in low precision. Prompts that stay in the sequence, Adapter and
        AdaptFormer stay what they are, as do LoRA and SSF beside an int8 trunk, and guidance is dropped. A folded model
        stays as it is, in eval mode.
        """
        if self.folded is not None:
            return self
        require_complete(self.trunk.blocks)
        self.eval()
        if not is_quantized(self.trunk):
            self.adapters.merge(self.trunk)
        for i, (family, block) in enumerate(zip(self.families, self.trunk.blocks)):
            family.merge_offset(block, self.biases(i))
        self.biases = ProjectionBiases()
        folded = FoldedPrompts(self.starts_at_zero)
        for i, pair in self.keys_and_values():
            folded.add(i, pair)
        self.folded = folded
        if "key_value_prompts" in self.adapters:
            del self.adapters["key_value_prompts"]
        if self.prompts:
            self.prompts = self.prompts.keep_only(self.carry)
        self.guidance = None
        return self.requires_grad_(False)

    def keys_and_values(self) -> Iterator[tuple[int, KeyValue]]:
        """Yield each block that has any, counted from 0, and the keys and values that its prompts and extra keys are.

        Prompts that stay in the sequence are none.
        """
        for i, (family, block) in enumerate(zip(self.families, self.trunk.blocks[: self.last + 1])):
            prompts, changes = self.joining(i)
            with self.precision.computing(next(block.parameters()).device):
                pair = folded_pair(family, block, None if i == self.carry else prompts, changes)
            if pair is not None:
                yield i, pair

    @property
    def starts_at_zero(self) -> bool:
        """Whether prompts join beside the tokens' softmax."""
        return self.folded.beside if self.folded else bool(self.prompts and self.prompts.start != "joint")

    @property
    def carry(self) -> Optional[int]:
        """The block whose prompts stay in the sequence, or None."""
        return self.prompts.carry if self.prompts else None

    def _beside(self, block: int, initial: Optional[Tensor]) -> Optional[Beside]:
        if self.prompts is None or self.prompts.start == "joint":
            return None
        return Beside(initial, self.adapters.initial_key_value(block), self.prompts.gate(block))
