"""A training whose losses or parameters are not finite ends, and keeps what was good."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS, OPTIM_WRAPPERS

from davpt_seg.commands.train import main_train
from davpt_seg.errors import DivergedError
from davpt_seg.training.start import stop_where_diverged

from ..training import CONFIGS, by_iterations, config_file, tiny_camvid, train


def diverging(data: Path, work_dir: Path, first_good: int = 2) -> Config:
    """Six iterations, of which all but the first have a rate of 1e30; each writes a checkpoint, one is kept."""
    cfg = by_iterations(tiny_camvid(data, work_dir), 6)
    cfg.default_hooks.checkpoint.update(interval=1, max_keep_ckpts=1, save_best="mIoU")
    cfg.train_cfg.val_interval = 1
    cfg.optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=1e-3))
    if first_good:
        cfg.param_scheduler = [dict(type="MultiStepLR", by_epoch=False, milestones=[first_good], gamma=1e33)]
    else:
        cfg.optim_wrapper.optimizer.lr = 1e30
    return cfg


def all_finite(path: Path) -> bool:
    """Whether a checkpoint has finite parameters, and its averaged copy too."""
    content = torch.load(path)
    states = [content["state_dict"], content.get("ema_state_dict", {})]
    return all(bool(value.isfinite().all()) for state in states for value in state.values())


@pytest.mark.parametrize("averaged", [False, True])
def test_a_rate_that_explodes_ends_the_run_and_keeps_the_last_finite_checkpoints(
    averaged: bool, camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = diverging(camvid, tmp_path / "work")
    if averaged:
        cfg.custom_hooks.append(dict(type="EMAHook"))
    with pytest.raises(SystemExit) as ended:
        main_train([config_file(cfg, tmp_path / "config.py")])
    said = capfd.readouterr()
    assert ended.value.code == 3
    assert "Done." not in said.out + said.err
    log = said.out + said.err
    assert "The training diverged" in log
    assert "rate that is too high" in log
    assert f"resume from it (--resume {tmp_path}/work/iter_2.pth" in log
    checkpoints = {path.name: path for path in (tmp_path / "work").glob("*.pth")}
    assert "iter_2.pth" in checkpoints
    assert any(name.startswith("best_mIoU") for name in checkpoints)
    assert all(map(all_finite, checkpoints.values()))


def test_a_rate_of_1e30_ends_before_anything_is_written(
    camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = diverging(camvid, tmp_path / "work", first_good=0)
    cfg.default_hooks.checkpoint.interval = 100
    cfg.train_cfg.val_interval = 100
    with pytest.raises(SystemExit) as ended:
        main_train([config_file(cfg, tmp_path / "config.py"), "--test", str(tmp_path / "scores.json")])
    log = "".join(capfd.readouterr())
    assert ended.value.code == 3
    assert "in iteration 2, decode.loss_ce is nan, aux.loss_ce is nan, loss_metric_patch is nan" in log
    assert "No checkpoint was written: start again with a lower optim_wrapper.optimizer.lr" in log
    assert log.count("o checkpoint") == 1
    assert not list((tmp_path / "work").glob("*.pth"))
    assert not (tmp_path / "scores.json").exists()


def test_the_last_step_is_checked_too(camvid: Path, tmp_path: Path) -> None:
    """The losses of all steps are finite, and only the parameters after the last one are not."""
    cfg = diverging(camvid, tmp_path / "work", first_good=0)
    cfg.train_cfg.max_iters = 1
    cfg.default_hooks.checkpoint = cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with pytest.raises(DivergedError, match="after iteration 1, at the end of the training, parameters"):
        train(cfg)


def test_a_run_that_diverged_resumes_with_the_lower_rate(
    camvid: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cfg = diverging(camvid, tmp_path / "work", first_good=3)
    with pytest.raises(SystemExit):
        main_train([config_file(cfg, tmp_path / "config.py")])
    assert (tmp_path / "work/last_checkpoint").read_text().endswith("iter_3.pth")
    cfg.optim_wrapper.optimizer.lr = 1e-33  # the schedule multiplies it
    config = config_file(cfg, tmp_path / "lower.py")
    main_train([config, "--resume"])
    log = "".join(capfd.readouterr())
    assert "Done." in log
    assert "optim_wrapper.optimizer.lr: 0.001 -> 1e-33" in log
    assert all_finite(tmp_path / "work/iter_6.pth")
    rates = [group["lr"] for group in torch.load(tmp_path / "work/iter_6.pth")["optimizer"]["param_groups"]]
    assert rates == pytest.approx([1.0] * len(rates))


def test_a_config_of_another_project_gets_both_hooks(camvid: Path, tmp_path: Path) -> None:
    cfg = diverging(camvid, tmp_path / "work")
    cfg.default_hooks = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1, max_keep_ckpts=1))
    with pytest.raises(SystemExit) as ended:
        main_train([config_file(cfg, tmp_path / "config.py")])
    assert ended.value.code == 3
    assert all_finite(tmp_path / "work" / "iter_2.pth")


@pytest.mark.parametrize("hooks", [None, {}, dict(logger=dict(type="LoggerHook"))])
def test_a_config_without_a_hook_for_checkpoints_gets_the_one_that_mmengine_would_make(hooks: Any) -> None:
    cfg = Config(dict(default_hooks=hooks))
    stop_where_diverged(cfg)
    assert cfg.default_hooks.checkpoint == dict(type="AtomicCheckpointHook", interval=1)


def test_a_config_may_switch_the_check_of_losses_off_and_hears_what_it_loses(
    camvid: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    cfg = diverging(camvid, tmp_path / "work", first_good=0)
    cfg.default_hooks.update(finite_loss=None, checkpoint=None)
    cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        main_train([config_file(cfg, tmp_path / "config.py")])
    assert caplog.text.count("default_hooks.finite_loss=None: a loss that is NaN or infinite does not end this") == 1


def test_our_own_configs_stop_under_any_script(camvid: Path, tmp_path: Path) -> None:
    cfg = diverging(camvid, tmp_path / "work")
    with pytest.raises(DivergedError):
        train(cfg)


@OPTIM_WRAPPERS.register_module(force=True)
class Scaled(OptimWrapper):
    """What MMEngine's AmpOptimWrapper does with torch's loss scaler, on a CPU."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.loss_scaler = torch.amp.GradScaler("cpu")

    def backward(self, loss: torch.Tensor, **arguments: Any) -> None:
        self.loss_scaler.scale(loss).backward(**arguments)
        self._inner_count += 1

    def step(self, **arguments: Any) -> None:
        self.loss_scaler.step(self.optimizer, **arguments)
        self.loss_scaler.update()


@HOOKS.register_module(force=True)
class Overflow(Hook):
    """Makes the images of some iterations infinite."""

    def __init__(self, iterations: Sequence[int]) -> None:
        self.iterations = iterations

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter in self.iterations:
            data_batch["inputs"] = [image.float() * float("inf") for image in data_batch["inputs"]]


@pytest.mark.parametrize("skipped", [2, 3])
def test_steps_that_torchs_loss_scaler_skips_are_logged_and_their_number_is_bounded(
    skipped: int, camvid: Path, tmp_path: Path
) -> None:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path / "work"), 6)
    cfg.optim_wrapper.type = Scaled.__name__
    cfg.custom_hooks.append(dict(type="Overflow", iterations=list(range(1, 1 + skipped))))
    cfg.default_hooks.finite_loss.max_skipped = 2
    if skipped > 2:
        with pytest.raises(DivergedError, match=r"in iteration 4, .*hold NaN or infinity; or float16 overflow"):
            train(cfg)
        return
    runner = train(cfg)
    log = next(Path(runner.log_dir).glob("*.log")).read_text()
    assert log.count("the loss scaler skips this step") == 2
    assert all_finite(tmp_path / "work" / "iter_6.pth")


def test_every_training_schedule_of_ours_has_both_hooks() -> None:
    for path in (CONFIGS / "_base_" / "schedules").glob("*.py"):
        hooks = Config.fromfile(path).get("default_hooks")
        if hooks is not None:
            kinds = {hook.type for hook in hooks.values()}
            assert {"FiniteLossHook", "AtomicCheckpointHook"} <= kinds, path
