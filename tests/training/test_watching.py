"""TensorBoard and W&B get all curves of a training and a panel of predictions; the training is unchanged."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import wandb
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from davpt_seg.cli import main
from davpt_seg.commands.train import main_train
from davpt_seg.core.guidance.mapping_log import read_clusterings
from davpt_seg.errors import InputError
from davpt_seg.training.runner import CommandRunner
from davpt_seg.training.watching import backends_of, watch

from ..wandb_files import run_of
from . import by_iterations, config_file, tiny_camvid

CLASSES = ("sky", "building", "pole", "road", "pavement", "tree")


def watched(data: Path, work_dir: Path, iterations: int = 4, **options: Any) -> Config:
    """An experiment with four prompts for eleven classes, which validates every second iteration."""
    cfg = by_iterations(tiny_camvid(data, work_dir, **{"model.backbone.prompts.num_prompts": 4, **options}), iterations)
    cfg.train_cfg.val_interval = 2
    cfg.default_hooks.checkpoint.update(interval=2, max_keep_ckpts=9)
    cfg.custom_hooks[1].interval = 2
    return cfg


def train(cfg: Config) -> Runner:
    """Train with the commands' runner."""
    runner = CommandRunner.from_cfg(cfg)
    runner.train()
    return runner


def events(work_dir: Path) -> EventAccumulator:
    """What TensorBoard reads of a training; its events are all in one folder."""
    (folder,) = {file.parent for file in work_dir.rglob("events.out.tfevents.*")}
    return EventAccumulator(str(folder)).Reload()


def curve(found: EventAccumulator, name: str) -> tuple[list[int], list[float]]:
    scalars = found.Scalars(name)
    return [each.step for each in scalars], [each.value for each in scalars]


def scalars_of(runner: Runner) -> dict[str, list[float]]:
    """The local log."""
    rows = map(json.loads, (Path(runner.log_dir) / "vis_data" / "scalars.json").read_text().splitlines())
    found: dict[str, list[float]] = {}
    for row in rows:
        for name, value in row.items():
            found.setdefault(name, []).append(value)
    return found


def test_tensorboard_has_every_curve_of_the_local_log_and_the_panel(camvid: Path, tmp_path: Path) -> None:
    cfg = watched(camvid, tmp_path)
    watch(cfg, tensorboard=True)
    runner = train(cfg)
    found, local = events(tmp_path), scalars_of(runner)
    names = set(found.Tags()["scalars"])
    assert names == {*local} - {"step"}
    for name in names:
        assert np.allclose(curve(found, name)[1], local[name], equal_nan=True)
    for name in ("loss", "loss_metric_patch", "patch_cos_positive", "patch_cos_negative"):
        assert curve(found, name)[0] == [1, 2, 3, 4]
    for name in ("mIoU", "IoU/sky", "prompt_share/block_00", "prompt_share/block_01"):
        assert curve(found, name)[0] == [2, 4]
    assert curve(found, "kmeans_seconds")[0] == curve(found, "classes_moved")[0] == [0, 2]
    moved = [clustering.moved for clustering in read_clusterings(tmp_path / "mapping.jsonl")]
    assert curve(found, "classes_moved")[1] == moved
    panels = found.Images("panel")
    assert [panel.step for panel in panels] == [2, 4]
    written = sorted(Path(runner.log_dir).rglob("panel_*.png"))
    assert [path.name for path in written] == ["panel_2.png", "panel_4.png"]
    assert Image.open(written[0]).size == (panels[0].width, panels[0].height)


def test_the_mean_of_the_class_ious_is_the_miou_of_the_metric(camvid: Path, tmp_path: Path) -> None:
    cfg = watched(camvid, tmp_path)
    watch(cfg, tensorboard=True)
    local = scalars_of(train(cfg))
    for at, mean in enumerate(local["mIoU"]):
        ious = [values[at] for name, values in local.items() if name.startswith("IoU/")]
        assert np.mean(ious) == pytest.approx(mean, abs=0.01)  # which is rounded


@pytest.mark.parametrize("method", ["davpt", "baselines/linear"])
def test_curves_and_panel_leave_the_training_bit_equal(camvid: Path, tmp_path: Path, method: str) -> None:
    plain, logged = (watched_by(method, camvid, tmp_path / name) for name in ("plain", "logged"))
    watch(logged, tensorboard=True)
    weights = [train(cfg).model.state_dict() for cfg in (plain, logged)]
    assert all(torch.equal(one, other) for one, other in zip(*(each.values() for each in weights)))


def watched_by(method: str, data: Path, work_dir: Path) -> Config:
    if method == "davpt":
        return watched(data, work_dir)
    cfg = by_iterations(tiny_camvid(data, work_dir, method), 4)
    cfg.train_cfg.val_interval = 2
    return cfg


def test_a_resumed_training_continues_the_curves(camvid: Path, tmp_path: Path) -> None:
    for iterations in (2, 4):
        cfg = watched(camvid, tmp_path, iterations)
        cfg.resume = iterations == 4
        cfg.load_from = str(tmp_path / "iter_2.pth") if cfg.resume else None
        watch(cfg, tensorboard=True)
        train(cfg)
    found = events(tmp_path)  # of one folder
    assert curve(found, "loss")[0] == [1, 2, 3, 4]
    steps, scores = curve(found, "mIoU")
    assert steps == [2, 2, 4]  # the checkpoint was written before its validation, which is repeated
    assert scores[0] == scores[1]


def test_what_a_resumed_training_repeats_is_shown_once(camvid: Path, tmp_path: Path) -> None:
    for iterations, start in ((4, None), (6, "iter_2.pth")):
        cfg = watched(camvid, tmp_path, iterations)
        cfg.resume, cfg.load_from = start is not None, start and str(tmp_path / start)
        watch(cfg, tensorboard=True)
        train(cfg)
    assert curve(events(tmp_path), "loss")[0] == [1, 2, 3, 4, 5, 6]


def test_a_training_from_a_resumed_ones_config_writes_into_its_own_work_dir(camvid: Path, tmp_path: Path) -> None:
    for iterations in (2, 4):
        cfg = watched(camvid, tmp_path / "one", iterations)
        cfg.resume = iterations == 4
        cfg.load_from = str(tmp_path / "one" / "iter_2.pth") if cfg.resume else None
        watch(cfg, tensorboard=True)
        runner = train(cfg)
    before = sorted((tmp_path / "one").rglob("events.*"))
    copied = Config(runner.cfg.to_dict())
    copied.update(work_dir=str(tmp_path / "other"), resume=False, load_from=None, experiment_name="copied")
    train(copied)
    assert sorted((tmp_path / "one").rglob("events.*")) == before
    assert len(list((tmp_path / "other").rglob("events.*"))) == 1


def test_another_training_in_the_same_work_dir_begins_new_curves(camvid: Path, tmp_path: Path) -> None:
    for _ in range(2):
        cfg = watched(camvid, tmp_path, 2)
        watch(cfg, tensorboard=True)
        train(cfg)
    assert len({file.parent for file in tmp_path.rglob("events.out.tfevents.*")}) == 2


def test_a_config_that_names_a_backend_keeps_one_and_gets_the_local_log(camvid: Path, tmp_path: Path) -> None:
    cfg = watched(camvid, tmp_path)
    cfg.visualizer.vis_backends = [dict(type="TensorboardVisBackend", save_dir="elsewhere")]
    watch(cfg, tensorboard=True)
    kinds = [backend["type"] for backend in cfg.visualizer.vis_backends]
    assert kinds == ["LocalVisBackend", "TensorboardVisBackend"]
    assert cfg.visualizer.vis_backends[1].save_dir == "elsewhere"
    assert backends_of(cfg) == "TensorBoard"
    assert [hook.type for hook in cfg.custom_hooks][-2:] == ["CurvesHook", "PanelHook"]


def test_without_a_backend_the_config_is_unchanged(camvid: Path, tmp_path: Path) -> None:
    cfg = watched(camvid, tmp_path)
    before = cfg.pretty_text
    watch(cfg)
    assert cfg.pretty_text == before


def rates_logged(data: Path, work_dir: Path, custom_keys: dict[str, Any]) -> dict[str, list[float]]:
    cfg = watched(data, work_dir, 2)
    cfg.optim_wrapper.paramwise_cfg = dict(custom_keys=custom_keys)
    watch(cfg, tensorboard=True)
    return {name: values for name, values in scalars_of(train(cfg)).items() if name.startswith("lr/")}


def test_each_rate_has_the_names_of_what_learns_at_it(camvid: Path, tmp_path: Path) -> None:
    keys = {"backbone.prompts": dict(lr_mult=5.0), "auxiliary_head": dict(lr_mult=2.0)}
    rates = rates_logged(camvid, tmp_path, keys)
    assert {name: values[0] for name, values in rates.items()} == pytest.approx(
        {"lr/backbone": 5e-3, "lr/decode_head": 1e-3, "lr/auxiliary_head": 2e-3}
    )


def options(config: str, work_dir: Path, *more: str) -> Sequence[str]:
    return [config, "--work-dir", str(work_dir), *more]


def test_a_dry_run_names_the_backends_and_leaves_no_curves(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file(watched(camvid, tmp_path / "out"), tmp_path / "config.py")
    main_train(options(config, tmp_path / "out", "--tensorboard", "--dry-run"))
    assert "Curves of the training: the local log, TensorBoard" in capsys.readouterr().out
    assert not list(tmp_path.rglob("events.*"))


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_one_line_before_the_data_are_read(
    camvid: Path, tmp_path: Path, package: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file(watched(camvid, tmp_path / "out"), tmp_path / "config.py")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit) as ended:
        main(["train", *options(config, tmp_path / "out", f"--{package}")])
    printed = capsys.readouterr().err.strip() or str(ended.value.code)
    assert len(printed.splitlines()) == 1
    assert f"pip install '{package}>=" in printed
    assert not (tmp_path / "out").exists()


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """W&B without network and login."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_API_KEY", "WANDB_NAME", "WANDB_DIR"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("offline")
def test_offline_wandb_has_the_same_curves_and_a_resumed_training_the_same_run(camvid: Path, tmp_path: Path) -> None:
    work_dir = tmp_path / "davpt" / "run"
    for iterations in (2, 4):
        cfg = watched(camvid, work_dir, iterations)
        cfg.resume = iterations == 4
        cfg.load_from = str(work_dir / "iter_2.pth") if cfg.resume else None
        watch(cfg, wandb="team/prompts")
        assert backends_of(cfg) == "W&B (offline)"
        runner = train(cfg)
    files = sorted(work_dir.glob("wandb/offline-run-*/*.wandb"))
    (before, _), (run, rows) = map(run_of, files)
    assert run.run_id == before.run_id
    assert (run.display_name, run.entity, run.project) == ("davpt/run", "team", "prompts")
    local = scalars_of(runner)
    for name, at in (("loss", [3, 4]), ("patch_cos_positive", [3, 4]), ("mIoU", [2, 4]), ("IoU/sky", [2, 4])):
        points = {row["iteration"]: row[name] for row in rows if name in row}
        assert [*points] == at
        assert list(points.values()) == pytest.approx(local[name])
    panels = [*files[1].parent.glob("files/media/images/panel_*.png")]
    assert len(panels) == 2 and all(Image.open(panel).size[0] > 100 for panel in panels)
    assert not list(files[1].parent.rglob("*.py"))  # no source is uploaded


@pytest.mark.usefixtures("offline")
def test_without_login_an_online_training_is_refused_before_it_starts(
    camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_MODE", "online")
    config = config_file(watched(camvid, tmp_path / "out"), tmp_path / "config.py")
    wandb.teardown()
    with pytest.raises(SystemExit) as ended:
        main(["train", *options(config, tmp_path / "out", "--wandb")])
    assert ended.value.code == 2
    assert "--wandb: this computer is not logged in to W&B. Run 'wandb login' once" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("project", ["", "team/"])
def test_a_project_without_a_name_is_refused(camvid: Path, tmp_path: Path, project: str) -> None:
    with pytest.raises(InputError, match="name a project, or ENTITY/PROJECT"):
        watch(watched(camvid, tmp_path), wandb=project)
