"""What one model saw in one image: prediction, and attention of patches to prompts."""

from __future__ import annotations

from typing import NamedTuple, Optional

import numpy as np
from torch import Tensor

from ..errors import InputError
from .block_tokens import BlockTokens
from .patches import Patches
from .prediction import Prediction


class _Block(NamedTuple):
    """Attention in one block: shares (heads, rows * columns, M), strength (rows * columns,)."""

    block: int
    shares: np.ndarray
    strength: np.ndarray


class Seen:
    """One image through one model.

    Attention is computed for one block at a time, when it is asked for: its prompts' columns for all patches. Those of
    the last block are kept, so further questions about that block are look-ups.

    Args:
        prediction: prediction of the image.
        looked: the same image as the ViT takes it, (1, 3, h', w').
        tokens: attention of the model's blocks.

    Attributes:
        pixels: image as shown, (h, w, 3) uint8 RGB.
        grid: rows and columns of patches over it.
        labels: class of every pixel, (h, w) int64; None for a classifier.
        image_probabilities: probabilities of the C classes of the image, (C,); None for a segmentor.

    Raises:
        InputError: probabilities that are not finite.
    """

    def __init__(self, prediction: Prediction, looked: Tensor, tokens: BlockTokens) -> None:
        self.pixels = np.ascontiguousarray(prediction.pixels[..., ::-1])
        height, width = looked.shape[2:]
        self._patches = Patches(self.pixels.shape[:2], (height, width), tokens.model.patch_size)
        self.grid = self._patches.grid
        self.labels = prediction.labels
        self.image_probabilities: Optional[np.ndarray] = None
        if self.labels is None:
            self.image_probabilities = prediction.probabilities.numpy()
        else:
            self._probabilities = self._patches.means(prediction.probabilities)  # (C, rows, columns)
        found = self._probabilities if self.image_probabilities is None else self.image_probabilities
        _check_finite(found, "probabilities of this image")
        self._looked, self._tokens, self._number = looked, tokens, tokens.new_image()
        self._block: Optional[_Block] = None

    def patch_at(self, x: float, y: float) -> tuple[int, int]:
        """Return row and column of the patch at a pixel of ``pixels``; outside of it, of the nearest patch."""
        return self._patches.at(x, y)

    def box_of(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Return x0, y0, x1, y1 of a patch in pixels of ``pixels``, without what sticks out of the image.

        Raises:
            InputError: there is no such patch.
        """
        return self._patches.box(row, column)

    def class_probabilities(self, row: int, column: int) -> np.ndarray:
        """Return the mean softmax of a patch's pixels, (C,); for a classifier, the image's.

        Raises:
            InputError: there is no such patch.
        """
        self._patches.index(row, column)
        if self.image_probabilities is not None:
            return self.image_probabilities
        return self._probabilities[:, row, column]

    def prompt_shares(self, block: int, row: int, column: int, head: Optional[int] = None) -> np.ndarray:
        """Return the attention of a patch on each prompt of a block, (M,) float32.

        Prompts in the tokens' softmax have shares of it, which add up to less than 1. The weights of zero-start prompts
        are those of their own softmax, which add up to 1 (with E2VPT's extra keys, to less).

        Args:
            block: index of the block, from 0.
            row, column: the patch.
            head: attention head, from 0; None for the mean over heads.

        Raises:
            InputError: a block that does not exist or has no prompts, no such patch or head, or attention that is not
                finite.
        """
        place = self._patches.index(row, column)
        return self._heads(block, head)[place]

    def strength(self, block: int, row: int, column: int) -> float:
        """Return how much the prompts of a block have to say about a patch.

        In the tokens' softmax, this is the sum of the prompts' shares, mean over heads. For zero-start prompts, it is
        the norm of what they add to attention, relative to the tokens' own output.

        Raises:
            InputError: as :meth:`prompt_shares`.
        """
        place = self._patches.index(row, column)
        return float(self._attention(block).strength[place])

    def patch_map(self, block: int, prompt: int, head: Optional[int] = None) -> np.ndarray:
        """Return how much each patch attends to a prompt, (rows, columns) float32, as :meth:`prompt_shares`.

        Raises:
            InputError: as :meth:`prompt_shares`, or no such prompt.
        """
        shares = self._heads(block, head)
        if not 0 <= prompt < shares.shape[1]:
            raise InputError(f"prompt {prompt} does not exist: block {block} has {shares.shape[1]} prompts, from 0")
        return shares[:, prompt].reshape(self.grid)

    def _heads(self, block: int, head: Optional[int]) -> np.ndarray:
        """Return the shares of all patches, (rows * columns, M), of a head or the mean over heads."""
        shares = self._attention(block).shares
        if head is None:
            return shares.mean(axis=0)
        if not 0 <= head < len(shares):
            raise InputError(f"head {head} does not exist: block {block} has {len(shares)} heads, from 0")
        return shares[head]

    def _attention(self, block: int) -> _Block:
        if self._block is None or self._block.block != block:
            found = self._tokens.on_prompts(self._number, self._looked, block)
            patches = self._tokens.model.patches(self.grid)
            shares, strength = found.shares[0, :, patches], found.strength[0, patches]
            made = _Block(block, shares.float().cpu().numpy(), strength.float().cpu().numpy())
            for values in (made.shares, made.strength):
                _check_finite(values, f"attention in block {block}")
            self._block = made
        return self._block


def _check_finite(values: np.ndarray, what: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(
            f"the model computes NaN or infinite values as {what}, as after a training that diverged: choose an "
            "earlier checkpoint"
        )
