"""tools/train.py and tools/test.py, as a user types them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file

from ..scenes import write_ade20k

ROOT = Path(__file__).parents[2]
SMALLER_TRUNK = [
    "model.backbone.pretrained=False",
    "model.backbone.model_name=vit_tiny_patch16_224",
    "model.backbone.timm_kwargs.depth=4",
    "model.backbone.out_indices=(0,1,2,3)",
    "model.neck.in_channels=[192,192,192,192]",
    "model.neck.out_channels=16",
    "model.decode_head.in_channels=[16,16,16,16]",
    "model.decode_head.channels=16",
    "model.auxiliary_head.in_channels=16",
    "model.auxiliary_head.channels=16",
]
SMALLER_IMAGES = [  # crops of 512 pixels and UPerNet take seconds an iteration
    "train_dataloader.dataset.pipeline.3.scale=(512,128)",
    "train_dataloader.dataset.pipeline.4.crop_size=(128,128)",
    "model.data_preprocessor.size=(128,128)",
    "val_dataloader.dataset.pipeline.1.scale=(512,128)",
    "test_dataloader.dataset.pipeline.1.scale=(512,128)",
]
PROMPTS = ["model.backbone.prompts.num_prompts=[8,8,8,5]", "model.backbone.guidance.blocks=[3]"]
FEW_ITERATIONS = [
    "train_cfg.max_iters=4",
    "train_cfg.val_interval=2",
    "default_hooks.checkpoint.interval=2",
    "default_hooks.logger.interval=1",
    "train_dataloader.batch_size=2",
    "train_dataloader.num_workers=0",
    "train_dataloader.persistent_workers=False",
    "val_dataloader.num_workers=0",
    "val_dataloader.persistent_workers=False",
    "test_dataloader.num_workers=0",
    "test_dataloader.persistent_workers=False",
]


def run(*command: str, check: bool = True, **environment: str) -> str:
    """Run a command from the repository's root and return all it printed."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or done.returncode == 0, done.stdout[-5000:]
    return done.stdout


@pytest.fixture(scope="module")
def ade(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_ade20k(tmp_path_factory.mktemp("ade")))


@pytest.mark.slow
def test_the_main_config_trains_validates_saves_resumes_and_tests(ade: str, tmp_path: Path, forked_python: str) -> None:
    config, work_dir = "configs/davpt/upernet_vitl_ade20k_plus.py", str(tmp_path / "run")
    options = ["--cfg-options", *SMALLER_TRUNK, *SMALLER_IMAGES, *PROMPTS, *FEW_ITERATIONS]
    train = [forked_python, "tools/train.py", config, "--work-dir", work_dir]
    log = run(*train, *options, ADE20K_ROOT=ade)
    assert "SyncBN -> BN in 2 places" in log
    assert "train: 4 images, each with its label" in log
    assert "backbone.biases.offsets.*_value" in log
    assert "of 150 classes moved" in log  # 150 classes on 5 prompts: clustered before training
    losses = [float(value) for value in re.findall(r"loss_metric_patch: ([\d.]+)", log)]
    assert len(losses) == 4
    assert min(losses) > 0
    assert log.count("per class results") == 2  # validated twice

    log = run(*train, "--resume", *options, "train_cfg.max_iters=6", ADE20K_ROOT=ade)
    assert "First class means" not in log
    assert len(re.findall(r"Iter\(train\) \[[56]/6\]", log)) == 2

    checkpoint = str(tmp_path / "run" / "iter_6.pth")
    out, shown = tmp_path / "out", tmp_path / "shown"
    test = [forked_python, "tools/test.py", config, checkpoint, "--work-dir", str(tmp_path / "test")]
    log = run(*test, "--out", str(out), "--show-dir", str(shown), *options, ADE20K_ROOT=ade)
    assert re.search(r"mIoU: [\d.]+", log)
    assert re.search(r"\|\s+wall\s+\|", log)
    predictions = sorted(out.glob("*.png"))
    assert len(predictions) == 2
    assert np.array(Image.open(predictions[0])).shape == (64, 80)
    assert len(list(shown.rglob("*.png"))) == 2

    other = [option.replace("[8,8,8,5]", "[8,8,8,6]") for option in options]
    log = run(*test, *other, check=False, ADE20K_ROOT=ade)
    assert "is not of configs/davpt/upernet_vitl_ade20k_plus.py" in log
    assert "prompts.values.3" in log
    assert "mIoU" not in log.splitlines()[-1]


@pytest.mark.slow
def test_the_test_that_a_training_prints_runs_with_augmentation_too(
    camvid: Path, tmp_path: Path, forked_python: str
) -> None:
    config = "configs/davpt/linear_vits14_camvid.py"
    options = ["--cfg-options", "model.backbone.weights=None", "train_cfg.max_epochs=1", "train_cfg.val_interval=9"]
    environment = dict(CAMVID_ROOT=str(camvid))
    log = run(forked_python, "tools/train.py", config, "--work-dir", str(tmp_path), *options, **environment)
    (command,) = re.findall(r"Next: python (.*)", log)
    assert command == f"tools/test.py {tmp_path / 'linear_vits14_camvid.py'} {tmp_path / 'epoch_1.pth'}"
    test = [*command.split(), "--work-dir", str(tmp_path)]
    plain, augmented = run(sys.executable, *test, **environment), run(forked_python, *test, "--tta", **environment)
    scores = [re.findall(r"mIoU: ([\d.]+)", log)[-1] for log in (plain, augmented)]
    assert scores[0] != scores[1]


@pytest.mark.slow
def test_two_processes_train_the_same_model(camvid: Path, tmp_path: Path, forked_python: str) -> None:
    """The worker below, twice under torchrun with gloo: replicas agree after training, and prompts have moved.

    So they do after a resume from their checkpoint, which was written without the frozen ViT.
    """
    arguments = dict(img_size=56, embed_dim=32, num_heads=2, depth=2, num_classes=0)
    vit = timm.create_model("vit_small_patch14_dinov2", **arguments).state_dict()
    save_file(vit, tmp_path / "vit.safetensors")
    run(
        *(forked_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
        *("-m", "tests.end_to_end.ddp_worker", str(camvid), str(tmp_path)),
    )
    first, second = (torch.load(tmp_path / f"rank{rank}.pth") for rank in range(2))
    before = torch.load(tmp_path / "before.pth")
    moved = 0
    for name, tensor in first.items():
        assert torch.equal(tensor, second[name]), name
        moved += "prompts" in name and not torch.equal(tensor, before[name])
    assert moved == 2  # both blocks' prompts
    resumed, other = (torch.load(tmp_path / f"resumed{rank}.pth") for rank in range(2))
    for name, tensor in resumed.items():
        assert torch.equal(tensor, other[name]), name
        assert not name.startswith("backbone.trunk.") or torch.equal(tensor, vit[name.removeprefix("backbone.trunk.")])
    saved = torch.load(tmp_path / "work" / "epoch_2.pth")["state_dict"]
    assert "backbone.frozen_trunk" in saved and not any(".trunk." in name for name in saved)
    assert all(torch.equal(resumed[name], value) for name, value in saved.items() if name in resumed)
    assert not torch.equal(resumed["backbone.prompts.values.0"], first["backbone.prompts.values.0"])


def test_a_dry_run_builds_everything_and_trains_nothing(camvid: Path, tmp_path: Path) -> None:
    log = run(
        *(sys.executable, "tools/train.py", "configs/davpt/linear_vits14_camvid.py", "--dry-run"),
        *("--work-dir", str(tmp_path), "--cfg-options", "model.backbone.weights=None"),
        CAMVID_ROOT=str(camvid),
    )
    assert "Trained parameters: 96,395 of" in log
    assert "Epoch(train)" not in log
    assert not list(tmp_path.glob("*.pth"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["configs/davpt/no_such.py"], "config 'configs/davpt/no_such.py' does not exist"),
        (["configs/davpt/linear_vits14_camvid.py"], "images/train' does not exist; check data_root"),
    ],
)
def test_a_wrong_start_ends_with_a_message_not_a_traceback(
    arguments: list[str], message: str, forked_python: str
) -> None:
    log = run(forked_python, "tools/train.py", *arguments, check=False, CAMVID_ROOT="/nowhere")
    assert message in log
    assert "Traceback" not in log
