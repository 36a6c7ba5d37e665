"""Prototypes of the data start prompts once, before the first step, and change nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from ..training import tiny_camvid

HOOK = dict(type="DataMeanInitHook", num_images=4)


def prompts_at_start(camvid: Path, work_dir: Path, **options: object) -> list[torch.Tensor]:
    """The prompts as the first training step sees them."""
    cfg = tiny_camvid(camvid, work_dir, "baselines/vpt_deep", **options)
    torch.manual_seed(0)
    runner = Runner.from_cfg(cfg)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.call_hook("before_train")
    return [values.detach().clone() for values in runner.model.backbone.prompts.parameters()]


def test_prompts_start_at_means_of_the_training_images(camvid: Path, tmp_path: Path) -> None:
    plain = prompts_at_start(camvid, tmp_path / "plain")
    started = prompts_at_start(camvid, tmp_path / "started", custom_hooks=[HOOK])
    again = prompts_at_start(camvid, tmp_path / "again", custom_hooks=[HOOK])
    assert all(not torch.allclose(a, b, atol=1e-2) for a, b in zip(plain, started))
    assert all(torch.equal(a, b) for a, b in zip(started, again))


def test_a_run_from_a_checkpoint_keeps_its_prompts(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> int:
        raise AssertionError("data means were taken")

    monkeypatch.setattr("davpt_seg.engine.data_mean_init_hook.prototypes", never)
    prompts_at_start(camvid, tmp_path, custom_hooks=[HOOK], load_from="some.pth")
    with pytest.raises(AssertionError, match="were taken"):
        prompts_at_start(camvid, tmp_path, custom_hooks=[HOOK])


def test_a_checkpoint_without_prompts_leaves_them_to_prototypes(camvid: Path, tmp_path: Path) -> None:
    options = {"custom_hooks": [HOOK], "model.backbone.prompts.init": "prototypes"}
    from_heads = prompts_at_start(camvid, tmp_path / "heads", load_from="heads.pth", **options)
    assert all(map(torch.equal, from_heads, prompts_at_start(camvid, tmp_path / "plain", **options)))
