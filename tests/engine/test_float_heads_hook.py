"""Boxes of detectors in mixed precision."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from davpt_seg.engine.float_heads_hook import FloatHeadsHook, in_single


class Head(nn.Module):
    """A head of several levels whose parts have no name of a head."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 3)
        self.computed: Any = None

    def forward(self, maps: list[Tensor]) -> tuple[list[Tensor], dict[str, Tensor], None]:
        logits = [self.layer(each) for each in maps]
        self.computed = logits[0].dtype
        return logits, dict(boxes=logits[0].sigmoid()), None


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rpn_head = Head()
        self.roi_head = nn.ModuleDict(dict(bbox_head=Head()))
        self.neck = nn.Linear(4, 4)


def test_outputs_of_heads_are_float32_and_what_they_compute_with_is_not() -> None:
    model, maps = Detector(), [torch.randn(2, 4), torch.randn(3, 4)]
    hook: Any = FloatHeadsHook()
    for _ in range(2):  # a training, and its test
        hook.before_run(SimpleNamespace(model=model))
    with torch.autocast("cpu", torch.bfloat16):
        assert model.neck(maps[0]).dtype == torch.bfloat16
        for head in (model.rpn_head, model.roi_head["bbox_head"]):
            logits, boxes, nothing = head(maps)
            assert head.computed == torch.bfloat16
            assert {each.dtype for each in (*logits, boxes["boxes"])} == {torch.float32} and nothing is None
            assert len(head._forward_hooks) == 1
            assert torch.equal(logits[1], head.layer(maps[1]).float())


def test_other_values_stay_what_they_are() -> None:
    index, exact = torch.tensor([3]), torch.ones(1, dtype=torch.float64)
    assert in_single(index) is index and in_single(exact) is exact and in_single("text") == "text"
