"""Models that are planned on the meta device."""

from __future__ import annotations

import torch

from davpt_seg.training.model import WithoutValues


def test_only_tensors_without_values_skip_their_initial_values() -> None:
    with WithoutValues():
        assert torch.empty(2, device="meta").erfinv_().clamp_(max=1).is_meta
        assert torch.tensor([3.0, 0.5]).clamp_(max=1).tolist() == [1, 0.5]
        assert torch.zeros(1).erfinv_().item() == 0
