"""A benchmark's options for curves reach every training, and are checked before the first."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from davpt_seg.benchmark.options import parser
from davpt_seg.benchmark.preflight import check_plan
from davpt_seg.benchmark.run.where import launch_of
from davpt_seg.errors import InputError
from davpt_seg.runs.training import Launch, Training

RUN = Training("vtab/dtd/davpt/final/seed=0", "method=davpt", (), 0, "final", "accuracy/top1", {}, keep=False)


def launch(*options: str) -> Launch:
    return launch_of(parser().parse_args(["vtab", *options]))


def test_each_training_has_the_options_and_its_wandb_run_its_name(tmp_path: Path) -> None:
    watching = launch("--tensorboard", "--wandb", "sweep")
    command = watching.command(RUN, tmp_path)
    assert command[-2:] == ["--tensorboard", "--wandb=sweep"]
    assert watching.environment(RUN, {})["WANDB_NAME"] == RUN.key


def test_the_default_project_is_that_of_train() -> None:
    assert launch("--wandb").watching == ("--wandb=davpt_seg",)


def test_without_options_nothing_is_added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_NAME", raising=False)
    assert "--tensorboard" not in launch().command(RUN, tmp_path)
    assert "WANDB_NAME" not in launch().environment(RUN, {})


def test_another_program_cannot_take_them() -> None:
    with pytest.raises(InputError, match="--tensorboard is for our trainings, and --command names another program"):
        launch("--tensorboard", "--command", "python")


@pytest.mark.parametrize("package", ["tensorboard", "wandb"])
def test_a_missing_package_is_named_before_the_first_run(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def without(name: str, *args: Any) -> Any:
        return None if name == package else found(name, *args)

    monkeypatch.setattr(importlib.util, "find_spec", without)
    with pytest.raises(InputError, match=f"package {package} is missing, --{package} needs it: pip install"):
        check_plan([], compose=False, watching=[f"--{package}"])
