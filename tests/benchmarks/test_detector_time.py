"""The benchmark of detectors' training steps beside that of their ViT."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.tools.scripts import load_script

pytest.importorskip("mmdet")
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_detectors_step_contains_that_of_its_trunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(BENCHMARKS)  # as where the script lies
    script = load_script(BENCHMARKS / "detector_time.py")
    options = (
        "--trunks vitti --heads fcos_small mask_rcnn --image-size 128 --rounds 2 --warmup 1 --threads 1 --device cpu"
    )
    script.main([*options.split(), "--json", str(tmp_path / "steps.json")])
    (heads,) = json.loads((tmp_path / "steps.json").read_text()).values()
    assert list(heads) == ["fcos_small", "mask_rcnn"]
    for arms in heads.values():
        assert all(whole > trunk > 0 for whole, trunk in zip(arms["detector"], arms["trunk"]))
    out = capsys.readouterr().out
    assert "| head | vitti: detector to trunk |" in out and "| `mask_rcnn` | " in out
