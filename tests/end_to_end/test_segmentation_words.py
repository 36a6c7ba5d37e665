"""Segmentation experiments in words, from the command line: chosen on held-out training images, tested once."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train

from ..scenes import write_camvid

TINY = [
    "model.backbone.weights=None",
    "model.backbone.timm_kwargs.depth=2",
    "model.backbone.out_indices=[1]",
    "model.backbone.timm_kwargs.embed_dim=24",
    "model.backbone.timm_kwargs.num_heads=2",
    "model.decode_head.in_channels=24",
    "model.decode_head.channels=24",
    "train_dataloader.batch_size=2",
    "val_cfg.fp16=False",  # tools/test.py computes in float32, and is compared with
    "test_cfg.fp16=False",
]
GATED = (
    "method=gatevpt,head=linear,trunk=vits14,data=camvid_crop112,schedule=adamw_iters,split=final,iters=21,prompts=3"
)
FINAL = [option for option in TINY if not option.startswith("val_cfg")]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMVID_ROOT", str(write_camvid(tmp_path / "camvid", train=10, val=3)))


def words(**changes: Any) -> str:
    parts = dict(method="lora+guidance", head="linear", trunk="vits14", data="camvid_crop112", schedule="adamw_iters")
    parts.update(split="choose", iters=21, lr=0.01, head_lr=0.02, rank=2, guided_prompts=4)
    return ",".join(f"{key}={value}" for key, value in {**parts, **changes}.items())


def train(work_dir: Path, experiment: str, options: list[str]) -> dict[str, Any]:
    """Train and test from the command line, and return the scores."""
    name = f"visualizer.name=v{uuid.uuid4().hex}"  # MMEngine's live as long as their name
    files = ["--work-dir", str(work_dir), "--test", str(work_dir / "scores.json")]
    main_train([experiment, *files, "--cfg-options", name, *options])
    return json.loads((work_dir / "scores.json").read_text())


def test_choosing_scores_held_out_training_images_as_a_test_of_the_checkpoint_does(tmp_path: Path) -> None:
    scores = train(tmp_path / "run", words(), TINY)
    about = scores["about"]
    assert (about["split"], about["images"], about["iter"], about["batch_size"]) == ("val", 2, 21, 2)
    assert about["config"] == words()
    assert about["trained_in_backbone"] == 2 * 2 * 4 * 24 + 4 * 24  # LoRA and the proxies
    name = f"visualizer.name=v{uuid.uuid4().hex}"
    report = tmp_path / "again.json"
    checkpoint = str(tmp_path / "run" / "iter_21.pth")
    main_test([words(), checkpoint, "--json", str(report), "--work-dir", str(tmp_path), "--cfg-options", name, *TINY])
    again = json.loads(report.read_text())
    assert again["images"] == 2
    for key in ("mIoU", "aAcc", "mAcc"):
        assert scores[key] == pytest.approx(again["metrics"][key], abs=0.01)  # mmseg rounds to two digits
    rows = [json.loads(line) for log in tmp_path.glob("run/*/vis_data/scalars.json") for line in log.open()]
    validated = [row for row in rows if "mIoU" in row]
    assert [row["mIoU"] for row in validated[:1]] == pytest.approx([scores["mIoU"]])
    losses = [row for row in rows if "loss" in row]
    assert all(row["loss_metric_patch"] > 0 and row["loss_metric_cls"] > 0 for row in losses)


@pytest.mark.parametrize("method", ["davpt_plus+zero_start+prototypes+lora", "e2vpt+zero_start+adaptformer"])
def test_prompts_that_start_as_the_pre_trained_vit_learn_and_keep_where_they_started(
    method: str, tmp_path: Path
) -> None:
    experiment = GATED.replace("gatevpt", method) + (",guided_prompts=3" if "davpt" in method else "")
    scores = train(tmp_path / "run", experiment, FINAL)
    assert scores["about"]["iter"] == 21
    state = torch.load(tmp_path / "run" / "iter_21.pth", map_location="cpu")["state_dict"]
    moved = state["backbone.prompts.values.0"] - state["backbone.prompts.initial.0"]
    assert 0 < moved.abs().max() < 1
    drawn = state["backbone.prompts.initial.0"].abs().max() < (6 / (3 * 14 * 14 + 24)) ** 0.5
    assert drawn == ("prototypes" not in method)


def test_the_final_run_is_tested_on_the_validation_set_that_choosing_never_saw(tmp_path: Path) -> None:
    scores = train(tmp_path / "run", GATED, FINAL)
    assert (scores["about"]["split"], scores["about"]["images"]) == ("test", 3)
    state = torch.load(tmp_path / "run" / "iter_21.pth", map_location="cpu")
    gates = state["state_dict"]["backbone.prompts.gates.gates"]
    assert (gates != -5).any()
    (written,) = (tmp_path / "run").glob("*.py")
    assert Config.fromfile(written).val_dataloader is None
