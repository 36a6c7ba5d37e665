"""The two parts of every metric loss."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


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
