"""--dry-run finds what would stop a training, and does not train."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmseg.registry import MODELS
from torch import nn

from davpt_seg.commands.train import main_train

from ..training import by_iterations, config_file, tiny_camvid


def experiment(camvid: Path, tmp_path: Path) -> Config:
    return by_iterations(tiny_camvid(camvid, tmp_path / "work"), 4)


def dry(cfg: Config, tmp_path: Path) -> None:
    main_train([config_file(cfg, tmp_path / "config.py"), "--dry-run"])


def no_such_hook(cfg: Config) -> None:
    cfg.custom_hooks.append(dict(type="NoSuchHook"))


def masks_of(cfg: Config) -> list[Any]:
    """The steps of evaluation that load and check masks."""
    return [s for s in cfg.val_dataloader.dataset.pipeline if s.type in ("LoadLabelMap", "CheckLabels")]


def nan_images(cfg: Config) -> None:
    """Images divided by 0."""
    cfg.model.data_preprocessor.std = [0.0, 0.0, 0.0]


def float16(cfg: Config) -> None:
    cfg.optim_wrapper.type = "AmpOptimWrapper"


def with_step(cfg: Config, split: str, place: int, **transform: Any) -> None:
    cfg[f"{split}_dataloader"].dataset.pipeline.insert(place, transform)


# What cannot be built: a dry run and a training refuse it in the same words.
NOT_BUILT: dict[str, tuple[Callable[[Config], Any], tuple[str, ...]]] = {
    "batch_size=eight": (
        lambda cfg: cfg.train_dataloader.update(batch_size="eight"),
        ("train_dataloader.batch_size must be an integer of at least 1, got 'eight'",),
    ),
    "lr=-1": (
        lambda cfg: cfg.optim_wrapper.optimizer.update(lr=-1),
        ("the optimizer AdamW cannot be built (optim_wrapper)", "Invalid learning rate: -1"),
    ),
    "an unknown optimizer": (
        lambda cfg: cfg.optim_wrapper.optimizer.update(type="Adamw"),
        ("optim_wrapper.optimizer.type: 'Adamw' is not registered; did you mean 'AdamW'",),
    ),
    "an unknown head": (
        lambda cfg: cfg.model.decode_head.update(type="FCNHaed"),
        ("model.decode_head.type: 'FCNHaed' is not registered; did you mean 'FCNHead'?",),
    ),
    "a head's argument": (
        lambda cfg: cfg.model.decode_head.update(num_conv=1),
        ("the model, the hooks or the log cannot be built", "num_conv"),
    ),
    "an unknown loss": (
        lambda cfg: cfg.model.decode_head.update(loss_decode=dict(type="CrossEntropyLos")),
        ("model.decode_head.loss_decode.type: 'CrossEntropyLos' is not registered; did you mean 'CrossEntropyLoss'",),
    ),
    "an unknown transform": (
        lambda cfg: with_step(cfg, "train", 2, type="RandomFlipp"),
        ("train_dataloader.dataset.pipeline.2.type: 'RandomFlipp' is not registered; did you mean 'RandomFlip'",),
    ),
    "an unknown sampler": (
        lambda cfg: cfg.train_dataloader.update(sampler=dict(type="InfiniteSamplr")),
        ("train_dataloader.sampler.type: 'InfiniteSamplr' is not registered; did you mean 'InfiniteSampler'",),
    ),
    "an unknown data set": (
        lambda cfg: cfg.train_dataloader.dataset.update(type="BaseSegDatset"),
        ("train_dataloader.dataset.type: 'BaseSegDatset' is not registered; did you mean 'BaseSegDataset'",),
    ),
    "a data set's argument": (
        lambda cfg: cfg.train_dataloader.dataset.update(datta_root="/data"),
        ("the data set cannot be opened (train_dataloader.dataset)", "datta_root"),
    ),
    "a validation set's argument": (
        lambda cfg: cfg.val_dataloader.dataset.update(datta_root="/data"),
        ("the data set cannot be opened (val_dataloader.dataset)", "datta_root"),
    ),
    "a score that IoUMetric does not have": (
        lambda cfg: cfg.val_evaluator.update(iou_metrics=["mIuO"]),
        ("val_evaluator: iou_metrics ['mIuO'] is not known; IoUMetric has mIoU, mDice, mFscore",),
    ),
    "no training data": (
        lambda cfg: cfg.update(train_dataloader=None, train_cfg=None, optim_wrapper=None, param_scheduler=None),
        ("has no train_dataloader: there is nothing to train on",),
    ),
    "float16 on a CPU": (
        float16,
        ("the optimizer AdamW cannot be built (optim_wrapper)", "only available training on gpu"),
    ),
    "validation that reads no images": (
        lambda cfg: with_step(cfg, "val", 0, type="RandomFlip", prob=1.0),
        ("the val data or its metric cannot be built or read", "KeyError: img"),
    ),
    "text for the steps between checkpoints": (
        lambda cfg: cfg.default_hooks.checkpoint.update(interval="two"),
        ("interval of AtomicCheckpointHook must be a number, got 'two'",),
    ),
    "text for the steps between validations": (
        lambda cfg: cfg.train_cfg.update(val_interval="often"),
        ("train_cfg.val_interval must be an integer of at least 1, got 'often'",),
    ),
    "a seed that is text": (
        lambda cfg: cfg.update(randomness=dict(seed="x")),
        ("randomness.seed must be an integer of at least 0, got 'x'",),
    ),
    "a model that is none": (lambda cfg: cfg.update(model=None), ("model must be a dict, got None",)),
    "a loader that is none": (lambda cfg: cfg.update(val_dataloader=3), ("val_dataloader must be a dict, got 3",)),
    "an unknown hook": (no_such_hook, ("custom_hooks", "NoSuchHook")),
    "a hook's argument": (
        lambda cfg: cfg.custom_hooks[1].update(intervall=3),
        ("PromptMappingHook has no argument 'intervall'; did you mean 'interval'?",),
    ),
    "a schedule": (
        lambda cfg: cfg.update(param_scheduler=[dict(type="PolyLR", begin=5, end=2)]),
        ("the schedule of the rate cannot be built (param_scheduler)", "end should be larger than begin"),
    ),
    "a transform": (
        lambda cfg: cfg.train_dataloader.dataset.pipeline.insert(2, dict(type="RandomCrop", crop_size=(0, 0))),
        ("the training data loader cannot be built", "not fulfilled: assert crop_size[0] > 0"),
    ),
    "a transform of validation": (
        lambda cfg: cfg.val_dataloader.dataset.pipeline.append(dict(type="NoTransform")),
        ("val_dataloader.dataset.pipeline.5.type: 'NoTransform' is not registered",),
    ),
}

# What only a dry run meets, as it goes through one batch of everything.
NOT_RUN: dict[str, tuple[Callable[[Config], Any], tuple[str, ...]]] = {
    "a head of other width": (
        lambda cfg: cfg.model.decode_head.update(in_channels=33, channels=33),
        ("model.decode_head.in_channels is 33, but the maps of the ViT have 32 channels",),
    ),
    "validation without masks": (
        lambda cfg: [cfg.val_dataloader.dataset.pipeline.remove(s) for s in masks_of(cfg)],
        ("the scores of one val batch cannot be computed (val_evaluator, val_dataloader)", "gt_sem_seg"),
    ),
    "a metric of image classification": (
        lambda cfg: setattr(cfg, "val_evaluator", dict(type="mmpretrain.Accuracy")),
        ("the scores of one val batch cannot be computed (val_evaluator",),
    ),
    "windows larger than their stride allows": (
        lambda cfg: cfg.model.update(test_cfg=dict(mode="slide", crop_size=(28, 28), stride=(0, 0))),
        ("the prediction of one val batch fails (model, val_dataloader)",),
    ),
    "save_best of no score": (
        lambda cfg: cfg.default_hooks.checkpoint.update(save_best="mIuO", rule="greater"),
        ("default_hooks.checkpoint.save_best is 'mIuO', but val_evaluator has the scores aAcc, mIoU, mAcc",),
    ),
    "a test pipeline unlike that of validation": (
        lambda cfg: [cfg.test_dataloader.dataset.pipeline.remove(s) for s in masks_of(cfg)],
        ("the scores of one test batch cannot be computed (test_evaluator, test_dataloader)", "gt_sem_seg"),
    ),
    "a test metric": (
        lambda cfg: cfg.update(test_evaluator=dict(type="NoMetric")),
        ("test_evaluator.type: 'NoMetric' is not registered",),
    ),
    "a loss that is NaN": (
        nan_images,
        (
            "the loss of the first batch is not finite: ",
            "decode.loss_ce is nan",
        ),
    ),
}


def refusal(cfg: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    """The one paragraph that a training ends with before its first iteration."""
    with pytest.raises(SystemExit) as ended:
        main_train([config_file(cfg, tmp_path / "config.py"), *options])
    message = capsys.readouterr().err.partition("error: ")[2].strip()
    assert ended.value.code == 2
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", NOT_RUN)
def test_what_would_stop_a_training_is_one_paragraph_and_status_2(
    name: str, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change, words = NOT_RUN[name]
    cfg = experiment(camvid, tmp_path)
    change(cfg)
    message = refusal(cfg, tmp_path, capsys, "--dry-run")
    for part in words:
        assert part in message


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_cannot_be_built_ends_a_training_with_the_message_of_its_dry_run(
    name: str, camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if name == "float16 on a CPU" and torch.cuda.is_available():
        pytest.skip("a CPU's refusal")
    change, words = NOT_BUILT[name]
    cfg = experiment(camvid, tmp_path)
    change(cfg)
    message = refusal(cfg, tmp_path, capsys, "--dry-run")
    for part in words:
        assert part in message
    assert refusal(cfg, tmp_path, capsys) == message
    assert not list((tmp_path / "work").rglob("*.pth"))


class _Buggy(Hook):
    """A custom hook with a bug."""

    def __init__(self) -> None:
        self.interval = dict()["interval"]


@pytest.mark.parametrize("options", [["--dry-run"], []])
def test_a_bug_in_custom_code_is_named_by_file_and_line(
    options: list[str], camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    HOOKS.register_module(name="Buggy", force=True, module=_Buggy)
    cfg = experiment(camvid, tmp_path)
    cfg.custom_hooks.append(dict(type="Buggy"))
    with pytest.raises(SystemExit, match="1"):
        main_train([config_file(cfg, tmp_path / "config.py"), *options])
    message = capsys.readouterr().err.splitlines()[-1]
    assert f"unexpected KeyError: 'interval' (in your file {__file__}:" in message


def test_a_test_that_follows_the_training_is_built_before_it(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(camvid, tmp_path)
    cfg.test_evaluator = dict(type="NoMetric")
    message = refusal(cfg, tmp_path, capsys, "--test", str(tmp_path / "scores.json"))
    assert "test_evaluator.type: 'NoMetric' is not registered" in message


def test_the_rate_is_scaled_once(camvid: Path, tmp_path: Path) -> None:
    cfg = experiment(camvid, tmp_path)
    cfg.train_cfg.max_iters = 1
    cfg.default_hooks.checkpoint.interval = 1
    cfg.auto_scale_lr = dict(enable=True, base_batch_size=8)
    cfg.optim_wrapper = dict(optimizer=dict(type="SGD", lr=0.01))
    cfg.param_scheduler = [dict(type="ConstantLR", factor=1.0, by_epoch=False)]
    main_train([config_file(cfg, tmp_path / "config.py")])
    (group,) = torch.load(tmp_path / "work/iter_1.pth")["optimizer"]["param_groups"]
    assert group["lr"] == pytest.approx(0.01 * 2 / 8)


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
    assert "Scores of one val batch before training: aAcc " in log
    assert "Scores of one test batch" not in log  # it is validation again
    assert "one forward and backward pass and one batch of each evaluation are fine" in log
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


def test_a_dry_run_takes_no_prototypes_and_misses_a_hook_that_would(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(camvid, tmp_path)
    cfg.model.backbone.prompts.init = "prototypes"
    assert "no prototypes were taken yet" in refusal(cfg, tmp_path, capsys, "--dry-run")
    cfg.custom_hooks.append(dict(type="DataMeanInitHook"))
    dry(cfg, tmp_path)
