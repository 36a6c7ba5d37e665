"""The benchmark of training steps: DA-VPT+, concatenated prompts, VPT-Deep, zero-start prompts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tools.scripts import load_script

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_it_measures_the_step_and_the_concatenated_form_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as where the script lies
    script = load_script(BENCHMARKS / "step_time.py")
    options = "--model test_vit --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --num-prompts 3 --device cpu"
    script.main([*options.split(), "--json", str(tmp_path / "steps.json")])  # it compares the two forms first
    (arms,) = json.loads((tmp_path / "steps.json").read_text())["num_prompts"].values()
    assert {name: len(arm["seconds"]) for name, arm in arms.items()} == dict.fromkeys(script.ARMS, 2)
    assert arms["floor"]["mebibytes"] < arms["ours"]["mebibytes"] < arms["concatenated"]["mebibytes"]
    assert arms["floor"]["mebibytes"] < arms["joint"]["mebibytes"]
    assert "| concatenated | " in (out := capsys.readouterr().out)
    assert "time to joint" in out


def test_it_measures_the_arms_that_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = load_script(BENCHMARKS / "step_time.py")
    options = "--model test_vit --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --num-prompts 3 --device cpu"
    script.main([*options.split(), "--arms", "joint", "offset", "gate"])
    assert "| arm | median step, s | time to joint |" in (out := capsys.readouterr().out)
    assert "| gate | " in out and "floor" not in out


def test_it_measures_trunks_with_rotary_positions(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)
    script = load_script(BENCHMARKS / "step_time.py")
    model = "vit_small_patch16_rope_mixed_224"
    options = f"--model {model} --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --num-prompts 3 --device cpu"
    script.main([*options.split(), "--arms", "floor", "ours"])
    assert "| ours | " in capsys.readouterr().out
    with pytest.raises(SystemExit, match="set --arms floor ours"):
        script.main(options.split())
