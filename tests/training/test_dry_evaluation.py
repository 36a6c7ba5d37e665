"""One batch of validation before a training: what it says of the scores that choose the best checkpoint."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Optional

import pytest
import torch
from mmengine.hooks import CheckpointHook
from mmengine.runner import ValLoop
from mmengine.structures import BaseDataElement, InstanceData
from torch import nn

from davpt_seg.errors import InputError
from davpt_seg.training.dry_evaluation import evaluate_batch


def runner_of(scores: dict[str, float], found: Optional[int]) -> Any:
    """Return a runner whose model finds a number of objects in its one image, or is no detector."""
    sample = BaseDataElement()
    if found is not None:
        sample.pred_instances = InstanceData(scores=torch.zeros(found))
    loop = ValLoop.__new__(ValLoop)
    loop.fp16 = False
    loop.evaluator = SimpleNamespace(process=lambda **batch: None, evaluate=lambda size: scores)
    loop.dataloader = SimpleNamespace(dataset=[0], batch_sampler=[[0]], collate_fn=lambda items: items)
    model = nn.Linear(1, 1)
    model.val_step = lambda batch: [sample]  # type: ignore[assignment]
    best = CheckpointHook(save_best="coco/bbox_mAP")
    return SimpleNamespace(
        _val_loop=loop, model=model, hooks=[best], logger=SimpleNamespace(info=lambda text: None), cfg={}
    )


def test_a_detector_that_finds_nothing_yet_is_no_mistake() -> None:
    assert evaluate_batch(runner_of({}, found=0), "val", "config") >= 0
    assert evaluate_batch(runner_of({"coco/bbox_mAP": 0.0}, found=2), "val", "config") >= 0


@pytest.mark.parametrize(("scores", "found"), [({}, 2), ({}, None), ({"mIoU": 3.0}, 0)])
def test_a_best_score_that_the_metric_does_not_have_is_one(scores: dict[str, float], found: Optional[int]) -> None:
    with pytest.raises(InputError, match="save_best is 'coco/bbox_mAP', but val_evaluator has the scores"):
        evaluate_batch(runner_of(scores, found), "val", "config")
