"""Windows, scales and flips against slow obvious forms, and mmseg's own inference on our models."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import mmcv
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.model import revert_sync_batchnorm
from PIL import Image

from davpt_seg.apis.predictor import Predictor
from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train

from ..checkpoints import Trained
from .test_scripts import run

WINDOW = dict(crop_size=(70, 98), stride=(50, 60))


@pytest.fixture(scope="module")
def predictor(trained: Trained) -> Predictor:
    return Predictor(trained.checkpoint, trained.config, device="cpu")


def logits(predictor: Predictor, images: torch.Tensor, **test_cfg: object) -> torch.Tensor:
    """Logits (1, C, H, W) of normalised images (1, 3, H, W)."""
    predictor.model.test_cfg.update(test_cfg)
    meta = dict(ori_shape=images.shape[2:], img_shape=images.shape[2:])
    with torch.no_grad():
        return predictor.model.inference(images, [meta])


def test_a_window_as_large_as_the_image_equals_the_whole_image(predictor: Predictor) -> None:
    images = torch.randn(1, 3, 112, 154, generator=torch.Generator().manual_seed(0))
    whole = logits(predictor, images, mode="whole")
    assert torch.equal(logits(predictor, images, mode="slide", crop_size=(112, 154), stride=(80, 80)), whole)
    assert torch.equal(logits(predictor, images, mode="slide", crop_size=(512, 512), stride=(341, 341)), whole)


def test_sliding_equals_the_mean_over_all_windows_that_see_a_pixel(predictor: Predictor) -> None:
    images = torch.randn(1, 3, 112, 154, generator=torch.Generator().manual_seed(0))
    seen = [[[] for _ in range(154)] for _ in range(112)]
    for top in (0, 42):  # 50 would stick out: the last window ends with the image
        for left in (0, 56):
            window = logits(predictor, images[:, :, top : top + 70, left : left + 98], mode="whole")[0]
            for y in range(70):
                for x in range(98):
                    seen[top + y][left + x].append(window[:, y, x])
    expected = torch.stack([torch.stack([torch.stack(s).mean(dim=0) for s in row], dim=-1) for row in seen], dim=-2)
    slid = logits(predictor, images, mode="slide", **WINDOW)[0]
    torch.testing.assert_close(slid, expected)
    assert not torch.allclose(slid, logits(predictor, images, mode="whole")[0], atol=1e-3)


def test_tta_equals_the_mean_softmax_of_passes_by_hand(trained: Trained, predictor: Predictor) -> None:
    image = mmcv.imread(trained.images[0])
    augmented = Predictor(trained.checkpoint, trained.config, tta=True, device="cpu")
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in ([123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))
    total = torch.zeros(11, *image.shape[:2])
    for scale in (0.75, 1.0, 1.25):
        resized = mmcv.imresize(image, (int(224 * scale), int(168 * scale)))
        for flip in (False, True):
            pixels = torch.from_numpy(resized[..., ::-1].copy()).permute(2, 0, 1)
            pixels = ((pixels.flip(-1) if flip else pixels) - mean) / std
            out = logits(predictor, pixels[None], mode="whole")
            out = out.flip(-1) if flip else out
            total += F.interpolate(out, image.shape[:2], mode="bilinear", align_corners=False)[0].softmax(dim=0)
    by_hand = total.argmax(dim=0).numpy()
    assert (augmented(image) == by_hand).mean() > 0.999  # ties between classes may go either way
    assert (predictor(image) != by_hand).mean() > 0.001


def test_mmsegs_own_inference_gives_the_same_labels_without_the_trunks_weights_file(
    trained: Trained, predictor: Predictor
) -> None:
    from mmseg.apis import MMSegInferencer, inference_model, init_model

    predictor.model.test_cfg.update(mode="whole")
    inferencer = MMSegInferencer(trained.config, weights=trained.checkpoint, device="cpu")
    found = inferencer(trained.images, show=False)["predictions"]
    model = revert_sync_batchnorm(init_model(trained.config, trained.checkpoint, device="cpu"))
    for path, labels in zip(trained.images, found):
        assert np.array_equal(labels, predictor(path))
        assert np.array_equal(inference_model(model, path).pred_sem_seg.data[0].numpy(), labels)
    assert tuple(inferencer.visualizer.dataset_meta["classes"]) != () and model.dataset_meta["classes"][0] == "sky"


def test_the_json_holds_what_the_table_prints_in_either_mode(
    trained: Trained, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    window = ["model.test_cfg.crop_size=[70,98]", "model.test_cfg.stride=[50,60]"]
    for mode, tta in (("whole", []), ("slide", ["--tta"])):
        json_file, picture = tmp_path / f"{mode}.json", tmp_path / "new" / f"{mode}.png"
        main_test(
            [
                *(trained.config, trained.checkpoint, "--work-dir", str(tmp_path), "--mode", mode, *tta),
                *("--json", str(json_file), "--confusion-matrix", str(picture)),
                *("--cfg-options", *window, f"experiment_name={mode}_{tmp_path.name}"),
            ]
        )
        report, log = json.loads(json_file.read_text()), capfd.readouterr().out
        assert (report["mode"], report["tta"], report["images"]) == (mode, bool(tta), 2)
        table = re.findall(r"^\|\s+(\w+)\s+\|\s+([\d.]+|nan)\s+\|\s+([\d.]+|nan)\s+\|$", log, flags=re.M)
        assert len(table) == 11
        for row, (name, iou, accuracy) in zip(report["classes"], table):
            assert row["name"] == name
            assert [row["IoU"], row["Acc"]] == pytest.approx([float(iou), float(accuracy)], abs=0.0051)
        printed = {key: float(value) for key, value in re.findall(r"(aAcc|mIoU|mAcc): ([\d.]+)", log)}
        assert report["metrics"] == pytest.approx(printed, abs=0.0051)
        assert Image.open(picture).width > 500


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--confusion-matrix", "matrix.xls"], "must end in one of .png, .pdf, .svg"),
        (["--json", "."], "'.' is a folder; name the file to write"),
        (["--mode", "slide"], "--mode slide needs a window"),
    ],
)
def test_wrong_test_options_are_named_before_the_test(
    trained: Trained, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main_test([trained.config, trained.checkpoint, *options])
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_the_script_needs_nothing_but_a_checkpoint_and_an_image(trained: Trained, tmp_path: Path) -> None:
    command = ["tools/predict.py", trained.checkpoint, trained.images[0], "--out", str(tmp_path)]
    log = run(sys.executable, *command, MPLBACKEND="agg")
    assert "1 of 1 images" in log
    assert {path.name for path in tmp_path.iterdir()} == {"0000_picture.png", "0000_labels.png"}


def test_a_dry_run_misses_the_weights_file_that_training_would(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--work-dir", str(tmp_path), "--cfg-options", f"experiment_name=dry_{tmp_path.name}"]
    with pytest.raises(SystemExit):
        main_train([trained.config, "--dry-run", *options])
    assert "model.backbone.weights: file '/nowhere/vit.safetensors' does not exist" in capsys.readouterr().err
