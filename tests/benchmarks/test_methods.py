"""The cost of every method: what is measured, what its table says, and that the docs say the same."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from davpt_seg.experiments.fitting import CLASSIFICATION_ONLY
from tests.tools.scripts import load_script

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "methods" / "cost.json"


@pytest.fixture(scope="module")
def benchmark() -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "benchmarks")  # as where the script lies
        yield load_script(ROOT / "benchmarks" / "methods.py")


@pytest.fixture(scope="module")
def run(benchmark: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Measure all methods on a tiny ViT; return the JSON file."""
    file = tmp_path_factory.mktemp("cost") / "cost.json"
    options = "--trunk test_vit --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --device cpu"
    benchmark.main([*options.split(), "--json", str(file), "--figure", str(file.with_suffix(".png"))])
    return file


@pytest.fixture
def methods(run: Path) -> dict[str, Any]:
    return json.loads(run.read_text())["methods"]


def test_every_method_of_the_configs_is_measured(benchmark: ModuleType, methods: dict[str, Any]) -> None:
    assert set(methods) == {"bare trunk", *benchmark.METHODS}
    elsewhere = {"zero_start", "prototypes"}  # by step_time.py, against vpt_deep; and they cost nothing after the start
    parts = elsewhere | {part for name in benchmark.METHODS for part in name.split(",")[0].split("+")}
    methods_there = {path.stem for path in (ROOT / "configs" / "_base_" / "methods").glob("*.py")}
    assert parts == methods_there - set(CLASSIFICATION_ONLY)  # each trains a segmentation head here


def test_frozen_methods_need_less_memory_than_the_full_trunk(methods: dict[str, Any]) -> None:
    needed = {name: found["mebibytes"] for name, found in methods.items()}
    assert needed["linear"] < needed["bare trunk"] < needed["efficient_bias"]  # no graph of the trunk at all; more
    assert all(needed[name] < needed["full"] / 2 for name in needed if name != "full")
    assert needed["vpt_deep"] < needed["vpt_deep+carried"]  # whose prompts are tokens in four blocks
    assert needed["e2vpt, pruned by half"] < needed["e2vpt"]


def test_what_is_left_after_folding(methods: dict[str, Any]) -> None:
    left = {name: found["left"] for name, found in methods.items()}
    assert {left[name] for name in ("linear", "full", "bias", "efficient_bias", "lora", "ssf")} == {"nothing"}
    assert {left[name] for name in ("vpt_deep", "davpt", "davpt_plus", "e2vpt")} == {"keys and values"}
    assert left["vpt_shallow"] == "prompts in the sequence"
    assert left["davpt+carried"] == "keys and values, prompts in the sequence"
    assert left["adapter+guidance"] == left["adapter"] == "adapter"
    timed = {name for name, found in methods.items() if "folded" in found["seconds"]}
    assert {"efficient_bias", "vpt_deep", "lora", "ssf", "adapter+guidance"} <= timed
    assert not timed & {"linear", "full", "bias", "vpt_shallow", "gatevpt", "adapter", "adaptformer"}


def test_what_starts_otherwise_can_be_measured_too(benchmark: ModuleType, tmp_path: Path) -> None:
    methods = ["vpt_deep", "vpt_deep+zero_start", "davpt+prototypes+zero_start"]
    options = "--trunk test_vit --image-size 32 --batch-size 2 --rounds 2 --warmup 0 --device cpu"
    benchmark.main([*options.split(), "--methods", *methods, "--json", str(tmp_path / "cost.json")])
    found = json.loads((tmp_path / "cost.json").read_text())["methods"]
    assert {found[name]["left"] for name in methods} == {"keys and values"}
    assert len({found[name]["tuned"] for name in methods}) == 1


def test_frozen_weights_are_the_bare_trunks_own(benchmark: ModuleType) -> None:
    arms, methods = sys.modules["arms"], sys.modules["method_arms"]
    bare = benchmark.PromptedViT("test_vit")
    options = argparse.Namespace(trunk="test_vit", device=torch.device("cpu"))
    for name in ("lora", "bias"):
        pairs = list(arms.matched(methods.build(name, bare, (), options).model, bare))
        assert len(pairs) == len(list(bare.trunk.parameters()))
        assert all((p.data_ptr() == theirs.data_ptr()) != p.requires_grad for p, theirs in pairs)


def test_the_figures_that_were_kept_give_the_table_again(
    benchmark: ModuleType, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    benchmark.main(["--load", str(run)])
    printed = capsys.readouterr().out
    assert all(f"\n| {name} | " in printed for name in benchmark.METHODS)
    assert run.with_suffix(".png").read_bytes().startswith(b"\x89PNG")


def test_ratios_are_those_within_rounds(benchmark: ModuleType) -> None:
    found = sys.modules["measuring"].ratio([2.0, 30.0, 4.0], [1.0, 10.0, 4.0])
    assert (found.low, found.median, found.high) == (1.5, 2.0, 2.5)


def test_unknown_methods_are_refused_by_name(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        benchmark.main(["--trunk", "test_vit", "--methods", "lorra"])
    assert "did you mean 'lora'?" in capsys.readouterr().err


def test_the_docs_table_is_that_of_the_run_that_was_kept(benchmark: ModuleType) -> None:
    kept = json.loads(KEPT.read_text())
    assert set(kept["methods"]) == {"bare trunk", *benchmark.METHODS}
    text = (ROOT / "docs" / "methods.md").read_text()
    assert benchmark.table(kept) in text
    assert kept["header"] in text
