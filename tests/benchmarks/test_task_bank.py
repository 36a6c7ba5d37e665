"""The benchmark of many tasks on one trunk."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tests.tools.scripts import load_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OPTIONS = "--model test_vit --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --num-prompts 4 --device cpu"


@pytest.mark.parametrize("arguments", ["davpt+", "different", "lora"])
def test_it_measures_time_and_memory_of_tasks_and_batches(
    arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as where the script lies
    script = load_script(BENCHMARKS / "task_bank.py")
    path = tmp_path / "bank.json"
    counts = ["--tasks", "1", "3", "--batch-sizes", "1", "4"]
    script.main([*OPTIONS.split(), *counts, "--arguments", arguments, "--json", str(path)])
    found = json.loads(path.read_text())
    assert list(found["tasks"]) == ["1", "3"] and list(found["batches"]) == ["1", "4"]
    for each in found["tasks"].values():
        assert math.isfinite(each["resident"]) and 0 < each["tensors"] < 1
        assert {name: len(seconds) for name, seconds in each["seconds"].items()} == dict(trunk=2, bank=2)
    out = capsys.readouterr().out
    assert "| tasks | RSS, MiB | RSS a task, MiB | tensors a task, MiB |" in out and "| 4 | 3 | " in out
