"""docs/own_data.md, followed word for word; tests/converters runs its two converters of releases."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from davpt_seg.trust.config_text import evaluate

from .folders import write_folder
from .test_image_folder import write_flowers

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "own_data.md").read_text()
LINES = [line for block in re.findall(r"```shell\n(.*?)```", PAGE, re.S) for line in block.splitlines()]
COMMANDS = [line for line in LINES if not line.startswith("python tools/dataset_converters/")]


def test_every_command_of_the_page_runs_one_after_the_other(tmp_path: Path, forked_python: str) -> None:
    write_folder(tmp_path / "pets")
    write_flowers(tmp_path / "flowers")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""}
    said = ""
    for line in COMMANDS:
        program, *arguments = line.split()
        assert program == "davpt-seg"
        command = [forked_python, "-m", "davpt_seg", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{line}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        said += done.stdout + done.stderr
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert evaluate((tmp_path / "pets" / "pets.py").read_text()) == evaluate(example)
    assert "everything is written already; nothing was changed" in said
    assert said.count("Dry run:") == 2
    assert len(list((tmp_path / "work_dirs" / "flowers").glob("epoch_2.pth"))) == 1


def test_the_page_has_the_commands_that_new_dataset_prints_next() -> None:
    assert [line.split()[1] for line in COMMANDS[:3]] == ["new-dataset", "train", "test"]
