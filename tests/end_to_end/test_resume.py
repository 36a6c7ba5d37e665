"""A resumed run is the run that would have been, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..training import by_iterations, tiny_camvid, train

# What MMEngine writes that no training depends on: times, paths and logged values.
NOT_COMPARED = {"meta", "message_hub"}


def eventful(data: Path, work_dir: Path, **options: Any) -> Config:
    """A run of two epochs of three iterations in which all that may differ after a resume happens.

    Eleven classes on four prompts, augmentation, dropout of heads and prompts, AdamW, a schedule by iterations, and a
    checkpoint after each of them.
    """
    cfg = tiny_camvid(data, work_dir, **{"model.backbone.prompts.num_prompts": 4})
    cfg.model.backbone.prompts.dropout = 0.1
    cfg.train_cfg.max_epochs = 2
    cfg.train_dataloader.dataset.pipeline.insert(-1, dict(type="PhotoMetricDistortion"))
    cfg.default_hooks.checkpoint.update(by_epoch=False, interval=1, max_keep_ckpts=-1, save_best=None)
    cfg.merge_from_dict(options)
    return cfg


def iterations(data: Path, work_dir: Path, **options: Any) -> Config:
    cfg = by_iterations(eventful(data, work_dir), 6)
    cfg.default_hooks.checkpoint.interval = 1
    cfg.custom_hooks[1].interval = 2  # clusters in between, with class means of half an interval in the checkpoint
    cfg.param_scheduler = [dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=0, end=6, by_epoch=False)]
    cfg.merge_from_dict(options)
    return cfg


def validated(data: Path, work_dir: Path) -> Config:
    """Epochs, with validation after each, on averaged weights, and accumulation of two batches."""
    cfg = eventful(data, work_dir, **{"train_cfg.val_interval": 1, "optim_wrapper.accumulative_counts": 2})
    cfg.custom_hooks.append(dict(type="EMAHook", momentum=0.1))
    return cfg


def with_workers(data: Path, work_dir: Path) -> Config:
    workers = {"train_dataloader.num_workers": 2, "train_dataloader.persistent_workers": True}
    return iterations(data, work_dir, **workers)


def finite_sampler(data: Path, work_dir: Path) -> Config:
    cfg = iterations(data, work_dir, **{"optim_wrapper.type": "AutocastOptimWrapper"})
    cfg.train_dataloader.sampler.type = "DefaultSampler"
    cfg.randomness = dict(seed=None)
    return cfg


def last(work_dir: Path) -> dict[str, Any]:
    return torch.load(work_dir / "iter_6.pth")


def differences(first: Any, second: Any, path: str = "") -> list[str]:
    """Where two nested checkpoints are not bit for bit the same."""
    if isinstance(first, torch.Tensor):
        return [] if torch.equal(first, second) else [path]
    if isinstance(first, dict):
        assert first.keys() == second.keys(), path
        pairs = {key: (first[key], second[key]) for key in first if key not in NOT_COMPARED}
        return [d for key, pair in pairs.items() for d in differences(*pair, f"{path}/{key}")]
    if isinstance(first, (list, tuple)):
        assert len(first) == len(second), path
        return [d for i, pair in enumerate(zip(first, second)) for d in differences(*pair, f"{path}/{i}")]
    return [] if first == second else [path]


@pytest.fixture(scope="module")
def whole(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Any], Path]:
    """The work dir of a configuration's uninterrupted run; each is made once."""

    @cache
    def run(configured: Any) -> Path:
        work_dir = tmp_path_factory.mktemp(configured.__name__)
        train(configured(camvid, work_dir))
        return work_dir

    return run


@pytest.mark.parametrize(
    ("configured", "cut"),
    [
        (iterations, 3),
        pytest.param(with_workers, 3, marks=pytest.mark.slow),
        pytest.param(finite_sampler, 4, marks=pytest.mark.slow),
        (eventful, 2),
        (validated, 3),
        (validated, 5),
    ],
)
def test_a_run_resumed_at_any_iteration_ends_as_the_whole_run(
    configured: Any, cut: int, camvid: Path, tmp_path: Path, whole: Callable[[Any], Path]
) -> None:
    cfg = configured(camvid, tmp_path)
    cfg.update(load_from=str(whole(configured) / f"iter_{cut}.pth"), resume=True)
    train(cfg)
    assert not (tmp_path / f"iter_{cut}.pth").exists()
    assert differences(last(whole(configured)), last(tmp_path)) == []


@pytest.mark.slow
def test_data_workers_change_nothing(whole: Callable[[Any], Path]) -> None:
    assert differences(last(whole(iterations)), last(whole(with_workers))) == []


def test_averaged_weights_follow_their_formula(whole: Callable[[Any], Path]) -> None:
    """EMAHook saves the average as the model's weights, and the model's own as ``ema_state_dict``."""
    checkpoints = [torch.load(whole(validated) / f"iter_{i}.pth") for i in range(1, 7)]
    name = "backbone.prompts.values.1"
    average = checkpoints[0]["ema_state_dict"][f"module.{name}"]
    for checkpoint in checkpoints[1:]:
        average = 0.9 * average + 0.1 * checkpoint["ema_state_dict"][f"module.{name}"]
    torch.testing.assert_close(checkpoints[-1]["state_dict"][name], average)
    assert not torch.equal(checkpoints[-1]["ema_state_dict"][f"module.{name}"], average)


def test_a_checkpoint_without_the_hook_is_resumed_with_a_warning(
    camvid: Path, tmp_path: Path, whole: Callable[[Any], Path]
) -> None:
    checkpoint = torch.load(whole(eventful) / "iter_5.pth")
    del checkpoint["exact_resume"]
    torch.save(checkpoint, tmp_path / "other.pth")
    cfg = eventful(camvid, tmp_path, **{"train_dataloader.batch_size": 3})
    cfg.update(load_from=str(tmp_path / "other.pth"), resume=True)
    runner = train(cfg)
    assert "The checkpoint was written without ExactResumeHook" in log_of(runner)
    assert runner.iter > 5  # batches are fewer and larger now: the epoch begins anew, and is not left out


def test_another_batch_size_is_said_to_be_another_run(
    camvid: Path, tmp_path: Path, whole: Callable[[Any], Path]
) -> None:
    cfg = iterations(camvid, tmp_path, **{"train_dataloader.batch_size": 3})
    cfg.update(load_from=str(whole(iterations) / "iter_5.pth"), resume=True)
    assert "written with batch_size 2, this run has 3" in log_of(train(cfg))


def test_more_images_are_said_to_be_another_run(camvid: Path, tmp_path: Path, whole: Callable[[Any], Path]) -> None:
    checkpoint = whole(iterations) / "iter_5.pth"
    content = torch.load(checkpoint)
    images = content["exact_resume"].pop("images")
    for written, says in ((images - 1, True), (images, False), (None, False)):
        if written is not None:
            content["exact_resume"]["images"] = written
        torch.save(content, tmp_path / "iter_5.pth")
        cfg = iterations(camvid, tmp_path / str(written))
        cfg.update(load_from=str(tmp_path / "iter_5.pth"), resume=True)
        assert (f"written with images {written}, this run has {images}" in log_of(train(cfg))) is says
        content["exact_resume"].pop("images", None)


def log_of(runner: Runner) -> str:
    return next(Path(runner.log_dir).glob("*.log")).read_text()
