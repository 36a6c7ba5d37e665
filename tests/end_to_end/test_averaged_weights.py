"""A run with EMAHook, tested by our own script: its checkpoint holds two sets of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from davpt_seg.commands.test import main_test

from ..training import tiny_camvid, train


def test_the_test_script_scores_the_averaged_weights(camvid: Path, tmp_path: Path) -> None:
    cfg = tiny_camvid(camvid, tmp_path / "work", **{"optim_wrapper.optimizer.lr": 0.1})
    cfg.custom_hooks.append(dict(type="EMAHook", momentum=0.5))
    cfg.dump(tmp_path / "averaged.py")
    train(cfg)
    checkpoint = tmp_path / "work" / "epoch_1.pth"
    scores = tmp_path / "scores.json"
    main_test(
        [str(tmp_path / "averaged.py"), str(checkpoint), "--work-dir", str(tmp_path / "test"), "--json", str(scores)]
    )

    weights = torch.load(checkpoint)["state_dict"]  # MMEngine swaps: these are the averaged ones
    plain = tiny_camvid(camvid, tmp_path / "plain")
    runner = Runner.from_cfg(plain)
    runner.model.load_state_dict(weights)
    assert json.loads(scores.read_text())["metrics"]["mIoU"] == pytest.approx(runner.test()["mIoU"], abs=0.01)
