"""A run with EMAHook, tested by our own script: its checkpoint holds two sets of weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm
import torch
from mmengine.runner import Runner
from safetensors.torch import save_file

from davpt_seg.commands.test import main_test

from ..training import tiny_camvid, train


def test_the_test_script_scores_the_averaged_weights(camvid: Path, tmp_path: Path) -> None:
    vit = dict(img_size=56, embed_dim=32, num_heads=2, depth=2, num_classes=0)
    source = {"model.backbone.weights": str(tmp_path / "vit.safetensors")}
    save_file(timm.create_model("vit_small_patch14_dinov2", **vit).state_dict(), tmp_path / "vit.safetensors")
    cfg = tiny_camvid(camvid, tmp_path / "work", **{"optim_wrapper.optimizer.lr": 0.1, **source})
    cfg.custom_hooks.append(dict(type="EMAHook", momentum=0.5))
    cfg.dump(tmp_path / "averaged.py")
    train(cfg)
    checkpoint = tmp_path / "work" / "epoch_1.pth"
    scores = tmp_path / "scores.json"
    main_test(
        [str(tmp_path / "averaged.py"), str(checkpoint), "--work-dir", str(tmp_path / "test"), "--json", str(scores)]
    )

    weights = torch.load(checkpoint)["state_dict"]  # MMEngine swaps: these are the averaged ones
    assert "backbone.frozen_trunk" in weights
    plain = tiny_camvid(camvid, tmp_path / "plain", **source)
    runner = Runner.from_cfg(plain)
    runner.model.load_state_dict(weights)
    assert json.loads(scores.read_text())["metrics"]["mIoU"] == pytest.approx(runner.test()["mIoU"], abs=0.01)
