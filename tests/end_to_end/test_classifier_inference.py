"""A classifier that our scripts trained, in mmpretrain's own inferencer."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from mmpretrain import ImageClassificationInferencer
from safetensors.torch import save_file

from ..recognition import write_vtab
from .test_recognition_training import train


def test_mmpretrains_inferencer_takes_the_config_and_checkpoint_of_a_work_dir(  # without the frozen ViT
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = write_vtab(tmp_path / "vtab", "dmlab", train=24, val=12, test=18)
    monkeypatch.setenv("VTAB_ROOT", str(root))
    arguments = dict(img_size=16, patch_size=8, embed_dim=16, num_heads=2, num_classes=0)
    vit = timm.create_model("vit_tiny_patch16_224", **arguments).state_dict()
    save_file(vit, tmp_path / "vit.safetensors")
    scores = train(tmp_path / "run", options=(f"model.backbone.weights={tmp_path / 'vit.safetensors'}",), epochs=1)
    assert "backbone.frozen_trunk" in torch.load(tmp_path / "run" / "epoch_1.pth")["state_dict"]
    monkeypatch.delenv("VTAB_ROOT")  # needs no data
    (config,) = (tmp_path / "run").glob("*.py")
    checkpoint = tmp_path / "run" / "epoch_1.pth"
    inferencer = ImageClassificationInferencer(str(config), str(checkpoint), device="cpu")
    listed = [line.split() for line in (root / "dmlab" / "val200.txt").read_text().splitlines()]
    results = inferencer([str(root / "dmlab" / path) for path, _ in listed], batch_size=4)
    right = [result["pred_label"] == int(label) for result, (_, label) in zip(results, listed)]
    assert 100 * sum(right) / len(right) == pytest.approx(scores["accuracy/top1"])
    assert {result["pred_class"] for result in results} <= {f"class {c}" for c in range(6)}
