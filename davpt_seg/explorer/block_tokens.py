"""Tokens that entered blocks, kept so that another block of the same image costs little."""

from __future__ import annotations

from collections import OrderedDict
from itertools import count

import torch
from torch import Tensor

from ..core.attention import Attended
from ..core.vit import PromptedViT
from ..visualization.block_attention import OnPrompts, attention_on_prompts, block_with_prompts

MOST_BYTES = 2**28


class BlockTokens:
    """Attention of the blocks of a ViT, and a limited number of tokens that entered them.

    Args:
        model: prompted ViT in eval mode.
        most_bytes: largest size of the kept tokens of all images; those that were used longest ago are dropped.
    """

    def __init__(self, model: PromptedViT, most_bytes: int = MOST_BYTES) -> None:
        self.model, self._most = model, most_bytes
        self._kept: OrderedDict[tuple[int, int], Tensor] = OrderedDict()
        self._numbers = count()

    def new_image(self) -> int:
        """Return a number for an image."""
        return next(self._numbers)

    @property
    def kept_bytes(self) -> int:
        """Return the size of the kept tokens."""
        return sum(tokens.nbytes for tokens in self._kept.values())

    @torch.no_grad()
    def on_prompts(self, number: int, image: Tensor, block: int) -> OnPrompts:
        """Return the attention of an image's tokens to the prompts of a block.

        Args:
            number: from :meth:`new_image`.
            image: normalised image (1, 3, h, w).
            block: index of the block, counted from 0.

        Raises:
            InputError: the block does not exist or has no prompts.
        """
        block = block_with_prompts(self.model, block)
        return attention_on_prompts(self.model, self._attended(number, image, block), block)

    def _attended(self, number: int, image: Tensor, block: int) -> Attended:
        """Run the blocks from the last one whose tokens are kept, up to a block."""
        parameter = next(self.model.trunk.parameters())
        embedded = self.model.embed(image.to(parameter.device))
        start = max((at for kept, at in self._kept if kept == number and at <= block), default=0)
        if start:
            self._kept.move_to_end((number, start))
            embedded = embedded._replace(tokens=self._kept[number, start])
        for at, (tokens, _, attended) in enumerate(self.model.walk(embedded, start=start), start=start):
            if at == block:
                return attended
            self._keep((number, at + 1), tokens)
        raise AssertionError(f"block {block} is not run")  # a block with prompts is

    def _keep(self, key: tuple[int, int], tokens: Tensor) -> None:
        self._kept[key] = tokens
        self._kept.move_to_end(key)
        while self.kept_bytes > self._most:
            self._kept.popitem(last=False)
