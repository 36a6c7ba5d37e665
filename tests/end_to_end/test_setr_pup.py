"""SETR-PUP with its three auxiliary heads, trained, validated and tested."""

from __future__ import annotations

import math
import re
import uuid
from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner

from davpt_seg.compat import replace_sync_bn
from davpt_seg.experiments.compose import compose

from ..scenes import write_ade20k
from ..training import logged

TINY = {
    "model.backbone.pretrained": False,
    "model.backbone.model_name": "vit_tiny_patch16_224",
    "model.backbone.timm_kwargs": dict(depth=4, embed_dim=48),
    "model.backbone.out_indices": (0, 1, 2, 3),
    "model.backbone.prompts.num_prompts": [4, 4, 4, 5],
    "model.data_preprocessor.size": (64, 64),
    "model.test_cfg.crop_size": (64, 64),
    "model.test_cfg.stride": (42, 42),
    "train_cfg.max_iters": 4,
    "train_cfg.val_interval": 4,
    "default_hooks.logger.interval": 1,
    "train_dataloader.batch_size": 2,
}


@pytest.mark.slow
def test_setr_pup_trains_all_four_heads_and_the_prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADE20K_ROOT", str(write_ade20k(tmp_path / "ade")))
    cfg = compose("davpt_plus", "setr_pup", "vitb")
    cfg.merge_from_dict(TINY)
    for head in (cfg.model.decode_head, *cfg.model.auxiliary_head):
        head.update(in_channels=48, channels=8)
    for step in cfg.train_dataloader.dataset.pipeline:
        step.update({"RandomResize": dict(scale=(256, 64)), "RandomCrop": dict(crop_size=(64, 64))}.get(step.type, {}))
    for loader in (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader):
        loader.update(num_workers=0, persistent_workers=False)
    for loader in (cfg.val_dataloader, cfg.test_dataloader):
        loader.dataset.pipeline[1].scale = (256, 64)
    replace_sync_bn(cfg.model)
    cfg.visualizer.pop("name")
    cfg.update(work_dir=str(tmp_path / "run"), launcher="none", experiment_name=uuid.uuid4().hex)

    runner = Runner.from_cfg(cfg)
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters()}
    runner.train()
    rows = logged(runner)
    assert len(rows) == 4
    parts = {
        "decode.loss_ce",
        "aux_0.loss_ce",
        "aux_1.loss_ce",
        "aux_2.loss_ce",
        "loss_metric_patch",
        "loss_metric_cls",
    }
    for row in rows:
        assert row["loss"] == pytest.approx(sum(row[part] for part in parts), rel=1e-3)
    # 150 classes guessed at random (padding counts as 0), by one head at weight 1 and three at 0.4
    assert 1 < rows[0]["decode.loss_ce"] < 1.1 * math.log(150)
    assert rows[0]["aux_1.loss_ce"] == pytest.approx(0.4 * rows[0]["decode.loss_ce"], rel=0.1)
    assert "mIoU" in runner.test()
    changed = {name for name, p in runner.model.named_parameters() if not torch.equal(p, before[name])}
    assert {re.match(r"(\w+)(\.\d|\.\w+)", name)[0] for name in changed} == {
        *("backbone.prompts", "backbone.biases"),
        *("decode_head.norm", "decode_head.up_convs", "decode_head.conv_seg"),
        *("auxiliary_head.0", "auxiliary_head.1", "auxiliary_head.2"),
    }
