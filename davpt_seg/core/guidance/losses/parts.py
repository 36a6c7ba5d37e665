"""Interface of the metric losses: arguments and results."""

from __future__ import annotations

from typing import NamedTuple, Optional

from torch import Tensor

from ...arguments import Arguments


class Parts(NamedTuple):
    """Parts of a metric loss, scalars whose sum is the loss; a single part may be negative.

    Attributes:
        pull: part that decreases as tokens and proxies of the same class come closer.
        push: part that decreases as tokens and proxies of different classes move apart.
    """

    pull: Tensor
    push: Tensor

    @property
    def total(self) -> Tensor:
        """Return the loss, a scalar."""
        return self.pull + self.push


class MetricLoss(Arguments):
    """Loss between proxies (here: prompts or class tokens) and tokens: a frozen dataclass of its arguments.

    It is computed in float32 or wider, also under autocast.
    """

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss.

        Args:
            proxies: vectors (P, D).
            tokens: vectors (T, D).
            positive: pairs of the same class, (T, P) bool.
            negative: pairs of different classes, (T, P) bool. Default: not positive. Neither holds void tokens.

        Returns:
            The parts of the loss; zero, with zero gradients, if there is no pair.
        """
        raise NotImplementedError
