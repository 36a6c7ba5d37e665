"""Warm-up of the learning rate by epochs, bounded in iterations."""

from __future__ import annotations

from typing import Any, Optional

from mmengine.optim import LinearLR
from mmengine.registry import PARAM_SCHEDULERS

SHORTEST = 2  # iterations: with one, MMEngine's LinearLR never leaves its first rate


@PARAM_SCHEDULERS.register_module()
class WarmUpLR(LinearLR):
    """Warm up over epochs, and over no more than a number of iterations.

    A warm-up of 500 iterations suits COCO, where an epoch has 14,659 batches of 8 images. With 30 images, it would be
    longer than the complete training. In a config: ``dict(type="WarmUpLR", begin=0, end=1, by_epoch=True,
    convert_to_iter_based=True, most=500, start_factor=0.001)``; other arguments are those of MMEngine's ``LinearLR``.
    """

    @classmethod
    def build_iter_from_epoch(  # type: ignore[override]
        cls,
        *args: Any,
        epoch_length: int,
        begin: int = 0,
        end: int = 1,
        by_epoch: bool = True,
        most: Optional[int] = None,
        **kwargs: Any,
    ) -> WarmUpLR:
        """Return the warm-up in iterations.

        Args:
            *args: arguments of ``LinearLR``, among them the optimizer.
            epoch_length: number of iterations of an epoch.
            begin: first epoch.
            end: epoch at whose start the warm-up is over.
            by_epoch: always true, as in MMEngine's conversion.
            most: largest number of iterations; None for no bound.
            **kwargs: keyword arguments of ``LinearLR``.
        """
        length = (end - begin) * epoch_length
        length = max(SHORTEST, length if most is None else min(length, most))
        first = begin * epoch_length
        return cls(*args, begin=first, end=first + length, by_epoch=False, **kwargs)
