"""Every command of docs/watching.md runs."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from davpt_seg.cli import main
from davpt_seg.packages import OPTIONAL

from . import by_iterations, config_file, tiny_camvid

PAGE = (Path(__file__).parents[2] / "docs" / "watching.md").read_text()
COMMANDS = [line for block in re.findall(r"```shell\n(.*?)```", PAGE, flags=re.S) for line in block.splitlines()]
CONFIG, WORK_DIR = "davpt/linear_vits14_camvid", "work_dirs/davpt/linear_vits14_camvid"


def test_the_page_has_at_most_350_words() -> None:
    assert len(re.sub(r"```.*?```", "", PAGE, flags=re.S).split()) <= 350


def test_the_commands_of_the_page_run(camvid: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("WANDB_MODE", "offline")  # the test has no network
    for command in COMMANDS:
        words = shlex.split(command)
        words = words[1:] if words[0].startswith("WANDB_MODE=") else words
        if words[0] == "davpt-seg":
            cfg = by_iterations(tiny_camvid(camvid, tmp_path / WORK_DIR), 1)
            config = config_file(cfg, tmp_path / "config.py")
            main([config if word == CONFIG else word for word in words[1:]])
        elif words[0] == "pip":
            assert tuple(words[2:]) == OPTIONAL["tensorboard"].requirements
        else:
            assert words[0] == "tensorboard"
            program = [sys.executable, "-m", "tensorboard.main", *words[1:], "--inspect"]
            done = subprocess.run(program, capture_output=True, text=True, check=True)
            assert "first_step" in done.stdout
    assert list(Path(WORK_DIR).glob("*/vis_data/events.out.tfevents.*"))
    assert len(list(Path(WORK_DIR).glob("wandb/offline-run-*"))) == 2
    assert list(Path(WORK_DIR).glob("*/vis_data/scalars.json"))
