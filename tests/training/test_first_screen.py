"""The terminal of a training has a short summary and its result; the log file has everything."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import pytest
from mmengine.config import Config

from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.terminal.program import program

from . import by_iterations, config_file, tiny_camvid

MOST = 60  # lines before the first step; the issue asks for a hundred
LIBRARIES = ("mmseg", "mmengine", "mmcv", "mmpretrain")


def experiment(camvid: Path, tmp_path: Path) -> Config:
    cfg = by_iterations(tiny_camvid(camvid, tmp_path / "my work"), 2)
    cfg.train_cfg.val_interval = 1
    cfg.default_hooks.checkpoint.update(save_best="mIoU", interval=1)
    return cfg


def started(tmp_path: Path) -> str:
    """The log file of the last run."""
    return max((tmp_path / "my work").glob("*/*.log")).read_text()


def of_libraries(found: pytest.WarningsRecorder) -> list[str]:
    """The warnings of OpenMMLab that Python shows by default."""
    shown = [each for each in found if issubclass(each.category, (UserWarning, FutureWarning))]
    return [str(each.message) for each in shown if any(f"/{name}/" in each.filename for name in LIBRARIES)]


def test_a_training_shows_what_matters_and_the_log_file_has_everything(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    config = config_file(experiment(camvid, tmp_path), tmp_path / "config.py")
    main_train([config])
    printed, written = capsys.readouterr().out, started(tmp_path)
    first = printed.partition("Iter(train)")[0]
    assert first.count("\n") < MOST
    for shown in (
        f"Training of {config}",
        "EncoderDecoder: PromptedViT, FCNHead (11 classes), FCNHead (11 classes)",
        "random weights",
        "prompts (num_prompts=20); guidance (",
        f"BaseSegDataset in {camvid}, 6 images, batches of 2",
        "2 images, every iteration",
        "2 iterations",
        "AdamW, lr 0.005, weight decay 0.0001: 1,280 parameters",
        "every iteration, and the best by mIoU",
        "Trained parameters: ",
    ):
        assert shown in first
    for hidden in ("Config:\n", "System environment:", "Hooks will be executed", "paramwise_options", "prefix is not"):
        assert hidden not in printed
        assert hidden in written
    assert of_libraries(recwarn) == []
    assert "\r" not in printed and "\x1b[K" not in printed  # a bar is for terminals


def test_the_optimizers_line_counts_what_is_trained_also_where_it_holds_the_frozen_vit(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(camvid, tmp_path)
    cfg.optim_wrapper.pop("paramwise_cfg")  # then MMEngine's optimizer holds all parameters in one group
    main_train([config_file(cfg, tmp_path / "config.py"), "--dry-run"])
    printed = capsys.readouterr().out
    counted = [int(each.replace(",", "")) for each in re.findall(r"weight decay \S+: ([\d,]+) parameters", printed)]
    trained = re.search(r"Trained parameters: ([\d,]+) of", printed)
    assert trained and counted == [int(trained[1].replace(",", ""))]


def test_a_training_ends_with_its_result_and_the_next_command(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = config_file(experiment(camvid, tmp_path), tmp_path / "config.py")
    main_train([config])
    printed = capsys.readouterr().out
    last = printed[printed.rindex("Done.") :]
    scores = [float(score) for score in re.findall(r"mIoU: ([\d.]+)", printed)]
    assert f"mIoU {scores[-1]:.4g}" in last.splitlines()[1]
    assert re.search(rf"Best by mIoU: {max(scores):.4g}, best_mIoU_iter_\d\.pth", last)
    assert last.endswith(f"Next: {program('test')} {config} '{tmp_path}/my work/iter_2.pth'\n")


def test_a_dry_run_estimates_the_training_and_names_its_command(
    camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recwarn: pytest.WarningsRecorder
) -> None:
    config = config_file(experiment(camvid, tmp_path), tmp_path / "config.py")
    main_train([config, "--dry-run", "--amp"])
    printed = capsys.readouterr().out
    assert printed.count("\n") < MOST
    assert "per class results" not in printed  # of one batch before training
    estimate = re.search(
        r"A step takes about ([\d.e-]+) s here .*; 2 iterations: about 0:00:\d\d, and 2 valid", printed
    )
    assert estimate and 0 < float(estimate[1]) < 60
    assert printed.endswith(f"nothing was trained. Next: {program('train')} {config} --amp\n")
    assert of_libraries(recwarn) == []


def test_a_test_says_first_what_it_tests(camvid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cfg = experiment(camvid, tmp_path)
    config = config_file(cfg, tmp_path / "config.py")
    main_train([config])
    capsys.readouterr()
    checkpoint = str(tmp_path / "my work" / "iter_2.pth")
    again = config_file(cfg, tmp_path / "again.py")  # a name of its own for MMEngine's logger
    main_test([again, checkpoint])
    printed = capsys.readouterr().out
    first = printed.partition("per class results")[0]
    assert first.count("\n") < MOST / 2
    assert f"Test of {again}\n  checkpoint   {checkpoint}\n" in first
    assert f"{camvid}, 2 images, batches of 1" in first
    assert re.search(r"mIoU: [\d.]+", printed)


def test_commands_hide_warnings_only_while_they_run(camvid: Path, tmp_path: Path) -> None:
    before = list(warnings.filters)
    main_train([config_file(experiment(camvid, tmp_path), tmp_path / "config.py"), "--dry-run"])
    assert list(warnings.filters) == before
