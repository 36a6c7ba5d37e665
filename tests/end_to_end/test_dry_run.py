"""--dry-run finds what would stop a training, and does not train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from torch import nn

from davpt_seg.apis import main_train

from ..training import by_iterations, config_file, tiny_camvid


def experiment(camvid: Path, tmp_path: Path) -> Config:
    return by_iterations(tiny_camvid(camvid, tmp_path / "work"), 4)


def dry(cfg: Config, tmp_path: Path) -> None:
    main_train([config_file(cfg, tmp_path / "config.py"), "--dry-run"])


def no_such_hook(cfg: Config) -> None:
    cfg.custom_hooks.append(dict(type="NoSuchHook"))


def nan_images(cfg: Config) -> None:
    """Images divided by 0."""
    cfg.model.data_preprocessor.std = [0.0, 0.0, 0.0]


WRONG: dict[str, tuple[Callable[[Config], Any], tuple[str, ...]]] = {
    "batch_size=eight": (
        lambda cfg: cfg.train_dataloader.update(batch_size="eight"),
        ("the training data loader cannot be built (train_dataloader", "eight"),
    ),
    "lr=-1": (
        lambda cfg: cfg.optim_wrapper.optimizer.update(lr=-1),
        ("the optimizer AdamW cannot be built (optim_wrapper)", "Invalid learning rate: -1"),
    ),
    "an unknown optimizer": (
        lambda cfg: cfg.optim_wrapper.optimizer.update(type="Adamw"),
        ("the optimizer Adamw cannot be built (optim_wrapper)",),
    ),
    "an unknown hook": (no_such_hook, ("custom_hooks", "NoSuchHook")),
    "a hook's argument": (
        lambda cfg: cfg.custom_hooks[1].update(intervall=3),
        ("cannot be built", "PromptMappingHook", "intervall"),
    ),
    "a schedule": (
        lambda cfg: cfg.update(param_scheduler=[dict(type="PolyLR", begin=5, end=2)]),
        ("the schedule of the rate cannot be built (param_scheduler)", "end should be larger than begin"),
    ),
    "a head of other width": (
        lambda cfg: cfg.model.decode_head.update(in_channels=33, channels=33),
        ("the forward pass of one training batch fails", "33"),
    ),
    "a transform": (
        lambda cfg: cfg.train_dataloader.dataset.pipeline.insert(2, dict(type="RandomCrop", crop_size=(0, 0))),
        ("the training data loader cannot be built", "not fulfilled: assert crop_size[0] > 0"),
    ),
    "a transform of validation": (
        lambda cfg: cfg.val_dataloader.dataset.pipeline.append(dict(type="NoTransform")),
        ("the val data or its metric cannot be built or read (val_dataloader, val_evaluator)", "NoTransform"),
    ),
    "a test metric": (
        lambda cfg: cfg.update(test_evaluator=dict(type="NoMetric")),
        ("the test data or its metric cannot be built or read", "NoMetric"),
    ),
    "a loss that is NaN": (
        nan_images,
        (
            "the loss of the first batch is not finite: ",
            "decode.loss_ce is nan",
        ),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_would_stop_a_training_is_one_paragraph_and_status_2(
    name: str, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = WRONG[name]
    cfg = experiment(camvid, tmp_path)
    change(cfg)
    with pytest.raises(SystemExit) as ended:
        dry(cfg, tmp_path)
    message = capsys.readouterr().err.partition("error: ")[2].strip()
    assert ended.value.code == 2
    assert "\n" not in message
    for part in words:
        assert part in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="a CPU's refusal")
def test_float16_on_a_cpu_is_refused(camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = experiment(camvid, tmp_path)
    cfg.optim_wrapper.type = "AmpOptimWrapper"
    with pytest.raises(SystemExit):
        dry(cfg, tmp_path)
    said = capsys.readouterr().err
    assert "the optimizer AdamW cannot be built (optim_wrapper)" in said
    assert "only available training on gpu" in said


def test_a_dry_run_learns_from_one_batch_and_writes_no_checkpoint(
    camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    dry(experiment(camvid, tmp_path), tmp_path)
    log = "".join(capfd.readouterr())
    assert "Losses of one batch: loss " in log
    assert "loss_metric_patch" in log
    assert "Trained parameters: " in log
    assert "got no gradient" not in log
    assert "Iter(train)" not in log
    assert "one forward and backward pass are fine" in log
    assert not list((tmp_path / "work").glob("*.pth"))


def test_parameters_that_no_loss_reads_are_named(
    camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from mmseg.models import FCNHead  # needs davpt_seg before it

    @MODELS.register_module(force=True)
    class HeadWithASpare(FCNHead):
        def __init__(self, **arguments: Any) -> None:
            super().__init__(**arguments)
            self.spare = nn.Parameter(torch.zeros(1))

    cfg = experiment(camvid, tmp_path)
    cfg.model.decode_head.type = HeadWithASpare.__name__
    dry(cfg, tmp_path)
    assert "1 trained parameters got no gradient (decode_head.spare)" in "".join(capfd.readouterr())
