"""The panel's hook keeps what it draws, and no more."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import torch
from mmengine.structures import PixelData
from mmseg.structures import SegDataSample

from davpt_seg.engine import PanelHook


def predicted(path: str) -> SegDataSample:
    sample = SegDataSample(metainfo=dict(img_path=path))
    sample.seg_logits = PixelData(data=torch.zeros(3, 4, 4))
    sample.pred_sem_seg = PixelData(data=torch.ones(1, 4, 4, dtype=torch.long))
    return sample


def test_logits_are_dropped_from_the_kept_samples_only() -> None:
    hook = PanelHook(images=2)
    runner = cast(Any, SimpleNamespace(val_dataloader=SimpleNamespace(dataset=range(4))))
    samples = [predicted(f"{i}.png") for i in range(4)]
    hook.before_val_epoch(runner)
    hook.after_val_iter(runner, 0, None, samples)
    assert [kept.img_path for kept in hook._samples] == ["0.png", "2.png"]
    for kept in hook._samples:
        assert kept.keys() == ["pred_sem_seg"]
        assert bool((kept.pred_sem_seg.data == 1).all())
    assert all("seg_logits" in sample for sample in samples)
