"""A compiled backbone trains as the plain one."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from davpt_seg.engine import CompileBackboneHook

from ..training import logged, tiny_camvid, train


def test_training_with_a_compiled_backbone_has_the_same_losses(camvid: Path, tmp_path: Path) -> None:
    losses = []
    for name, hooks in (("plain", []), ("compiled", [dict(type="CompileBackboneHook", backend="eager")])):
        torch.compiler.reset()
        cfg = tiny_camvid(camvid, tmp_path / name)
        cfg.custom_hooks = [*cfg.custom_hooks, *hooks]
        cfg.model.decode_head.dropout_ratio = cfg.model.auxiliary_head.dropout_ratio = 0
        runner = train(cfg)
        assert (runner.model.backbone._compiled_call_impl is not None) == bool(hooks)
        losses.append([row["loss"] for row in logged(runner)])
    assert len(losses[0]) == 3
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_a_model_without_backbone_is_refused(camvid: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Linear has no backbone"):
        CompileBackboneHook().before_train(SimpleNamespace(model=torch.nn.Linear(1, 1)))
