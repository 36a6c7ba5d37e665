"""The CamVid comparison: what is run, what its tables say, and that the docs say the same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config

from benchmarks import camvid, camvid_report

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "docs" / "camvid.json"


def test_every_method_gets_as_many_learning_rates_and_the_same_schedule() -> None:
    runs = camvid.grid()
    assert len({run.folder for run in runs}) == len(runs) == 3 * len(camvid.METHODS)
    configs = [Config.fromfile(ROOT / "configs" / f"{name}.py") for name in camvid.METHODS.values()]
    for key in ("train_dataloader", "val_dataloader", "param_scheduler", "train_cfg", "val_evaluator"):
        assert all(config[key] == configs[0][key] for config in configs)
    heads = [config.model.decode_head for config in configs]
    assert all(head == heads[0] for head in heads)
    assert {config.optim_wrapper.optimizer.lr for config in configs} == {camvid.HEAD_RATE}


def test_the_configs_rates_are_the_best_of_the_grid() -> None:
    kept = json.loads(KEPT.read_text())
    for method, name in camvid.METHODS.items():
        tried = {rate: kept[f"grid/{method}/{rate}/40/100"]["160"] for rate in camvid.rates(method)}
        chosen = min(rate for rate, found in tried.items() if found >= max(tried.values()) - 0.5)
        config = Config.fromfile(ROOT / "configs" / f"{name}.py")
        multiple = config.optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult
        rate = camvid.HEAD_RATE if method == "linear" else multiple * camvid.HEAD_RATE
        assert rate == pytest.approx(chosen)


def test_few_shot_runs_draw_as_many_images_by_their_own_seed(tmp_path: Path) -> None:
    for run in camvid.main():
        options = run.command(tmp_path)
        assert f"randomness.seed={run.seed}" in options
        few = [option for option in options if option.startswith("train_dataloader.dataset.")]
        drawn = ["train_dataloader.dataset.num_images=40", f"train_dataloader.dataset.seed={run.seed}"]
        assert few == (drawn if run.regime == "40" else [])


def test_a_run_is_claimed_once_and_freed_by_its_owners_death(tmp_path: Path) -> None:
    assert camvid.claim(tmp_path / "run")
    assert not camvid.claim(tmp_path / "run")
    (tmp_path / "run" / "pid").write_text("999999999")  # no such process
    assert camvid.claim(tmp_path / "run")


def test_tables_hold_mean_and_sample_deviation() -> None:
    values = [50.0, 52.5, 51.1]
    results = {f"main/davpt/all/{seed}": {100: value - 5, 400: value} for seed, value in enumerate(values)}
    (line,) = [line for line in camvid_report.main_table(results, "all") if "DA-VPT" in line]
    at_end = f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    assert line.split(" | ")[1:] == ["3", f"{np.mean(values) - 5:.1f} ± {np.std(values, ddof=1):.1f}", f"{at_end} |"]


def test_variants_are_compared_seed_by_seed() -> None:
    results = {}
    for seed, (ours, plain, variant) in enumerate([(40.0, 41.0, 43.0), (50.0, 48.0, 52.0)]):
        for name, value in (("main/davpt", ours), ("main/vpt_deep", plain), ("why/block_8", variant)):
            results[f"{name}/40/{seed}"] = {100: value - 9, 400: value}
    results["why/block_8/40/2"] = {100: 0.0, 400: 0.0}  # of a seed that nothing can be compared with
    (line,) = [line for line in camvid_report.why_table(results) if "block 8 |" in line]
    assert line.endswith("| +2.5 | +3.0 |")
    assert line.startswith("| block 8 | 2 |")


def test_the_docs_tables_are_those_of_the_figures_that_are_kept() -> None:
    results = camvid_report.load(KEPT)
    text = (ROOT / "docs" / "camvid.md").read_text()
    for table in camvid_report.tables(results):
        assert "\n".join(table) in text
