"""--resume takes no checkpoint of another experiment, and says what else differs."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.config import Config

from davpt_seg.commands.train import main_train
from davpt_seg.engine.resumed_rates_hook import use_rates
from davpt_seg.training.resume_changes import changes

from ..training import by_iterations, config_file, tiny_camvid, train


def experiment(data: Path, work_dir: Path) -> Config:
    """Two iterations, a checkpoint after each."""
    cfg = by_iterations(tiny_camvid(data, work_dir), 2)
    cfg.default_hooks.checkpoint.update(interval=1, save_best=None)
    cfg.param_scheduler = [dict(type="PolyLR", eta_min=0.0, power=1.0, begin=0, end=8, by_epoch=False)]
    return cfg


@pytest.fixture(scope="module")
def run(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Config:
    """The experiment after its two iterations."""
    cfg = experiment(camvid, tmp_path_factory.mktemp("resume") / "work")
    train(Config(cfg.to_dict()))
    return cfg


def resumed(run: Config, tmp_path: Path, change: Callable[[Config], Any]) -> Config:
    """The experiment with a change, in a work dir of its own that has the checkpoint."""
    cfg = Config(run.to_dict())
    cfg.work_dir = str(tmp_path / "work")
    change(cfg)
    return cfg


def resume(run: Config, cfg: Config, tmp_path: Path) -> None:
    main_train([config_file(cfg, tmp_path / "config.py"), "--resume", f"{run.work_dir}/iter_2.pth"])


def other_method(cfg: Config) -> None:
    """VPT: no guidance."""
    del cfg.model.backbone["guidance"]
    cfg.custom_hooks = []


def tuned_norms(cfg: Config) -> None:
    """The same parameters, of which others are trained."""
    cfg.model.backbone.tuned = ["blocks.*.norm1.weight"]


OTHERS: list[tuple[Callable[[Config], Any], tuple[str, ...]]] = [
    (
        lambda cfg: cfg.model.backbone.prompts.update(num_prompts=7),
        ("size mismatch for backbone.prompts.values.0", "model.backbone.prompts.num_prompts: 20 -> 7"),
    ),
    (other_method, ("backbone.guidance.mapping", "model.backbone.guidance.num_classes: 11 -> (none)")),
    (
        lambda cfg: cfg.optim_wrapper.update(optimizer=dict(type="SGD", lr=0.1)),
        ("optim_wrapper.optimizer.type is AdamW in the checkpoint and 'SGD' here", "'AdamW' -> 'SGD'"),
    ),
    (tuned_norms, ("trained another set of parameters", "model.backbone.tuned: (none) -> ['blocks.*.norm1.weight']")),
    (
        lambda cfg: cfg.model.backbone.timm_kwargs.update(depth=3),
        ("backbone.trunk.blocks.2", "model.backbone.timm_kwargs.depth: 2 -> 3"),
    ),
]


@pytest.mark.parametrize(("change", "words"), OTHERS, ids=["prompts", "method", "optimizer", "tuned", "depth"])
def test_another_experiment_is_refused_with_what_differs(
    change: Callable[[Config], Any],
    words: tuple[str, ...],
    run: Config,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        resume(run, resumed(run, tmp_path, change), tmp_path)
    message = capsys.readouterr().err.partition("error: ")[2]
    assert ended.value.code == 2
    for part in (*words, "Resume with the experiment that wrote it", "load_from=FILE"):
        assert part in message
    assert not list(tmp_path.glob("work/*.pth"))


def test_another_rate_seed_and_weight_are_one_warning_and_the_rate_is_used(
    run: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = torch.load(f"{run.work_dir}/iter_2.pth")["optimizer"]["param_groups"]

    def change(cfg: Config) -> None:
        cfg.optim_wrapper.optimizer.update(lr=cfg.optim_wrapper.optimizer.lr / 10, weight_decay=0.5)
        cfg.optim_wrapper.pop("paramwise_cfg", None) if len(before) == 1 else None
        cfg.randomness = dict(seed=5)
        cfg.model.backbone.guidance.patch_weight = 0.07
        cfg.train_cfg.max_iters = 3
        cfg.param_scheduler[0].end = 16
        cfg.train_dataloader.update(num_workers=0, persistent_workers=False)
        cfg.default_hooks.logger.interval = 3

    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        resume(run, resumed(run, tmp_path, change), tmp_path)
    (warning,) = [r.getMessage() for r in caplog.records if "this experiment differs" in r.getMessage()]
    used, _, kept = warning.partition("NOT used, because the checkpoint's are restored: ")
    assert "guidance.patch_weight: 0.05 -> 0.07" in used
    assert "optim_wrapper.optimizer.weight_decay: " in used
    assert "train_cfg.max_iters: 2 -> 3" in used
    assert kept == "param_scheduler.0.end: 8 -> 16; randomness.seed: 0 -> 5"
    assert not [word for word in ("num_workers", "work_dir", "logger", "data_root") if word in warning]
    checkpoint = torch.load(tmp_path / "work/iter_3.pth")
    after = checkpoint["optimizer"]["param_groups"]
    assert checkpoint["meta"]["seed"] == Config.fromfile(tmp_path / "work/config.py").randomness.seed == 0
    assert "randomness = dict(seed=0)" in checkpoint["meta"]["cfg"]
    for old, new in zip(before, after):  # linear from 1 to 0 in seven steps, of which three are done
        assert new["initial_lr"] == pytest.approx(old["initial_lr"] / 10)
        assert new["lr"] == pytest.approx(old["initial_lr"] / 10 * 4 / 7)


def test_a_copied_work_dir_goes_on_by_itself(run: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``--resume`` without a path; the original is untouched, and may change."""
    shutil.copytree(run.work_dir, tmp_path / "work")
    name = "decode_head.conv_seg.bias"
    copied = torch.load(tmp_path / "work/iter_2.pth")
    copied["state_dict"][name] = copied["state_dict"][name] + 5
    torch.save(copied, tmp_path / "work/iter_2.pth")
    before = {path.name: path.stat().st_mtime_ns for path in Path(run.work_dir).glob("*.pth")}

    def longer(cfg: Config) -> None:
        cfg.train_cfg.max_iters = 3

    cfg = resumed(run, tmp_path, longer)
    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        main_train([config_file(cfg, tmp_path / "config.py"), "--resume"])
    assert f"{tmp_path}/work/iter_2.pth is taken, which has the same name" in caplog.text
    written = torch.load(tmp_path / "work/iter_3.pth")
    assert (written["state_dict"][name] - copied["state_dict"][name]).abs().max() < 1
    assert written["message_hub"]["runtime_info"]["last_ckpt"] == str(tmp_path / "work/iter_3.pth")
    assert {path.name: path.stat().st_mtime_ns for path in Path(run.work_dir).glob("*.pth")} == before


def test_the_same_experiment_resumes_without_a_word(
    run: Config, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def change(cfg: Config) -> None:
        cfg.log_level = "WARNING"
        cfg.default_hooks.checkpoint.interval = 7
        cfg.model.backbone.with_cp = True
        cfg.val_dataloader.num_workers = 0
        cfg.pop("randomness")  # no seed at all is the checkpoint's

    with caplog.at_level(logging.WARNING, logger="davpt_seg"):
        resume(run, resumed(run, tmp_path, change), tmp_path)
    assert "differs" not in caplog.text


def test_a_checkpoint_without_a_config_is_compared_by_its_parameters(
    run: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(f"{run.work_dir}/iter_2.pth")
    content["meta"]["cfg"] = "import os\nos.system('touch pwned')"
    torch.save(content, tmp_path / "iter_2.pth")
    cfg = resumed(run, tmp_path, lambda cfg: cfg.model.backbone.prompts.update(num_prompts=7))
    with pytest.raises(SystemExit):
        main_train([config_file(cfg, tmp_path / "config.py"), "--resume", str(tmp_path / "iter_2.pth")])
    assert "size mismatch for backbone.prompts.values.0" in capsys.readouterr().err
    assert not Path("pwned").exists()


def test_resume_without_a_checkpoint_starts_from_load_from(run: Config, tmp_path: Path) -> None:
    """What a job script does that always says --resume."""
    cfg = resumed(run, tmp_path, lambda cfg: cfg.update(load_from=f"{run.work_dir}/iter_2.pth"))
    main_train([config_file(cfg, tmp_path / "config.py"), "--resume"])
    log = next((tmp_path / "work").glob("*/*.log")).read_text()
    assert f"Load checkpoint from {run.work_dir}/iter_2.pth" in log
    assert (tmp_path / "work/iter_2.pth").is_file()  # from the beginning


def test_the_order_of_lists_and_the_kind_of_sequences_are_no_difference() -> None:
    old = dict(model=dict(out_indices=(1, 2), name="a"), optim_wrapper=dict(a=1, clip_grad=None), work_dir="x")
    new = dict(model=dict(out_indices=[1, 2], name="b"), optim_wrapper=dict(a=1), work_dir="y", load_from="z")
    assert [str(change) for change in changes(old, new)] == ["model.name: 'a' -> 'b'"]


@pytest.mark.parametrize(
    ("key", "old", "new", "count"),
    [
        ("ann_file", "splits/train.txt", "splits/few.txt", 1),
        ("data_prefix", dict(seg_map_path="masks"), dict(seg_map_path="masks_of_another_person"), 1),
        ("data_prefix", dict(img_path="images/train"), dict(img_path="images/all"), 1),
        ("ann_file", "/a/train.txt", "/b/train.txt", 0),
        ("data_prefix", dict(img_path="data/images"), dict(img_path="/ssd/data/images"), 0),
        ("data_root", "data/ade", "elsewhere/ade", 0),
    ],
)
def test_other_lists_and_masks_of_a_data_set_are_a_difference_and_its_place_is_none(
    key: str, old: Any, new: Any, count: int
) -> None:
    configs = [dict(train_dataloader=dict(dataset={"type": "BaseSegDataset", key: value})) for value in (old, new)]
    assert len(changes(*configs)) == count


def test_rates_that_were_not_changed_stay_bit_for_bit() -> None:
    group = dict(params=[0], lr=0.1 / 3, initial_lr=0.1, weight_decay=0.3, momentum=0.9)
    saved = dict(param_groups=[dict(group)])
    schedule = dict(param_name="lr", base_values=[0.1], _last_value=[0.1 / 3])
    use_rates(saved, [schedule], [dict(group, lr=0.1)])
    assert saved == dict(param_groups=[group])
    assert schedule == dict(param_name="lr", base_values=[0.1], _last_value=[0.1 / 3])


def test_the_same_number_of_other_parameters_is_refused(
    run: Config, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Torch would give the moments of one parameter to another."""
    first = resumed(run, tmp_path, tuned_norms)
    train(Config(first.to_dict()))
    first.model.backbone.tuned = ["blocks.*.norm1.bias"]
    with pytest.raises(SystemExit):
        main_train([config_file(first, tmp_path / "config.py"), "--resume"])
    assert "trained another set of parameters" in capsys.readouterr().err
