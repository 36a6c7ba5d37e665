"""An experiment on DINOv3 from words: two of its blocks with random values are trained, tested, and predict."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
import torch
from PIL import Image

from davpt_seg.commands.predict import main_predict
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train

from ..scenes import write_camvid

WORDS = "head=linear,trunk=dinov3_vits,data=camvid_crop112,schedule=adamw_iters,iters=21,prompts=3,guided_prompts=4"
SMALL = [
    "model.backbone.pretrained=False",
    "model.backbone.timm_kwargs.depth=2",
    "model.backbone.out_indices=[1]",
    "model.backbone.prompts.num_prompts=[3,4]",
    "train_dataloader.batch_size=2",
    "val_cfg.fp16=False",  # tools/test.py computes in float32, and is compared with
    "test_cfg.fp16=False",
]


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_camvid(tmp_path / "camvid", train=6, val=2)
    monkeypatch.setenv("CAMVID_ROOT", str(folder))
    return folder


def options(*more: str) -> list[str]:
    return ["--cfg-options", f"visualizer.name=v{uuid.uuid4().hex}", *SMALL, *more]  # MMEngine's live by name


@pytest.mark.slow
def test_a_dinov3_experiment_is_trained_tested_and_predicts(
    tmp_path: Path, data: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words, run = f"method=davpt_plus,{WORDS}", tmp_path / "run"
    main_train([words, "--work-dir", str(run), "--test", str(run / "scores.json"), *options()])
    scores = json.loads((run / "scores.json").read_text())
    assert scores["about"]["iter"] == 21
    assert scores["about"]["trained_in_backbone"] == (3 + 4 + 2 * 2) * 384  # prompts, key and value biases
    assert "was trained with mean" not in capfd.readouterr().err

    checkpoint = run / "iter_21.pth"
    main_test([words, str(checkpoint), "--json", str(run / "again.json"), "--work-dir", str(run), *options()])
    again = json.loads((run / "again.json").read_text())["metrics"]
    assert again["mIoU"] == pytest.approx(scores["mIoU"], abs=0.01)  # mmseg rounds to two digits

    image = next((data / "images" / "val").glob("*.jpg"))
    main_predict([str(checkpoint), str(image), "--out", str(tmp_path / "predicted"), "--device", "cpu"])
    (mask,) = (path for path in (tmp_path / "predicted").glob("*.png") if "picture" not in path.stem)
    assert Image.open(mask).size == Image.open(image).size

    state = torch.load(checkpoint, map_location="cpu")["state_dict"]
    assert not any(name.endswith((".q_bias", ".v_bias")) for name in state)  # the trunk has none
    assert "backbone.trunk.reg_token" in state


def test_constants_of_other_weights_are_warned_of_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    command = [f"method=vpt_deep,{WORDS.replace(',guided_prompts=4', '')}", "--work-dir", str(tmp_path), "--dry-run"]
    main_train([*command, *options("model.data_preprocessor.mean=[127.5,127.5,127.5]")])
    printed = "".join(capfd.readouterr())
    expected = "mean=[127.5, 127.5, 127.5], std=[58.395, 57.12, 57.375], but vit_small_patch16_dinov3.lvd1689m"
    assert printed.count(expected) == 1
    assert "--cfg-options model.data_preprocessor.mean=[123.675,116.28,103.53]" in printed
