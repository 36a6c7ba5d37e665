"""What every metric loss takes and returns."""

from __future__ import annotations

from typing import NamedTuple, Optional

from torch import Tensor

from ...arguments import Arguments


class Parts(NamedTuple):
    """The parts of a metric loss, scalars whose sum is the loss; one alone may be negative.

    Attributes:
        pull: a part that falls as tokens and proxies of the same class come closer.
        push: a part that falls as tokens and proxies of different classes move apart.
    """

    pull: Tensor
    push: Tensor

    @property
    def total(self) -> Tensor:
        """The loss, a scalar."""
        return self.pull + self.push


class MetricLoss(Arguments):
    """A loss between proxies (here: prompts or class tokens) and tokens: a frozen dataclass of its arguments.

    It is computed in float32 or wider, also under autocast.
    """

    def __call__(self, proxies: Tensor, tokens: Tensor, positive: Tensor, negative: Optional[Tensor] = None) -> Parts:
        """Compute the loss.

        Args:
            proxies: (P, D).
            tokens: (T, D).
            positive: (T, P) bool, token and proxy are of the same class.
            negative: (T, P) bool, they are of different classes. Default: not positive. A void token is in neither.

        Returns:
            The parts of the loss; zero, with zero gradients, where no pair counts.
        """
        raise NotImplementedError
