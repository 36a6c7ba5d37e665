"""Learning curves: whose loss they show, and of which runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import BaseModel

from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.report.learning_curves import curve, curves_of, draw_curves, mean_curve
from davpt_seg.benchmark.report.report import write_report
from davpt_seg.benchmark.run.protocol import Protocol

from .conftest import Bench


def write_log(run: Path, time: str, rows: list[dict[str, float]], unfinished: str = "") -> None:
    folder = run / time / "vis_data"
    folder.mkdir(parents=True)
    (folder / "scalars.json").write_text("".join(json.dumps(row) + "\n" for row in rows) + unfinished)


class Model(BaseModel):
    def forward(self) -> None:
        raise NotImplementedError


def row(step: int, loss: float, **losses: float) -> dict[str, float]:
    return dict(step=step, iter=step, loss=loss, lr=0.1, **losses)


def test_a_curve_is_the_tasks_loss_and_a_resumed_run_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    guided = {"loss_metric_patch": 0.5, "loss_metric_cls": 0.25, "decode.loss_ce": 2.0}
    write_log(tmp_path, "20261127_1", [row(10, 2.75, **guided), row(20, 9.0), {"mIoU": 3.0, "step": 20}], '{"loss": 1')
    write_log(tmp_path, "20261127_2", [row(20, 1.5), row(30, 1.0)])
    assert curve(tmp_path) == {10: 2.0, 20: 1.5, 30: 1.0}


def test_a_curve_of_a_classifier_has_the_heads_loss_as_mmengine_logs_it(tmp_path: Path) -> None:
    losses = {"loss": torch.tensor(2.0), "loss_metric_patch": torch.tensor(0.5)}  # of ClsHead, and of MetricLossHook
    total, logged = Model().parse_losses(losses)
    assert total.item() == 2.5
    write_log(tmp_path, "20261127_1", [dict(step=10, **{name: value.item() for name, value in logged.items()})])
    assert curve(tmp_path) == {10: 2.0}


def test_curves_are_averaged_over_the_steps_that_all_seeds_have() -> None:
    steps, means, deviations = mean_curve([{1: 1.0, 2: 2.0, 3: 3.0}, {2: 6.0, 3: 3.0, 4: 0.0}])
    assert (steps, means) == ([2, 3], [4.0, 3.0])
    assert deviations == pytest.approx([np.std([2, 6], ddof=1), 0])
    assert mean_curve([{5: 2.0}]) == ([5], [2.0], [0.0])


def test_a_report_draws_a_line_for_each_method_of_runs_that_ended(tmp_path: Path) -> None:
    plan = plan_of(
        dict(tasks=["vtab/dtd", "vtab/svhn"], trunks=["vits14"], methods=["linear", "davpt"], grid={"lr": [1e-3]})
    )
    protocols = [Protocol(study, tmp_path) for study in plan.studies]
    write_report(protocols, tmp_path, plan.drawings)
    assert not (tmp_path / "curves.png").exists()
    for protocol, loss in zip(protocols, (1, 2, 3, 4)):
        for seed in (0, 1, 2):
            run = protocol.folder / "final" / f"seed={seed}"
            write_log(run, "20261127_1", [row(1, loss), row(2, loss + seed)])
            if seed < 2:  # the third is in progress
                (run / "result.json").write_text(json.dumps(dict(score=50.0)))
    panels = [axes for axes in draw_curves(curves_of(protocols)).axes if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["vtab/dtd, vits14", "vtab/svhn, vits14"]
    drawn = [{line.get_label(): list(line.get_ydata()) for line in axes.lines} for axes in panels]
    assert drawn == [{"linear": [1, 1.5], "davpt": [2, 2.5]}, {"linear": [3, 3.5], "davpt": [4, 4.5]}]
    assert "curves.png" in write_report(protocols, tmp_path, plan.drawings)
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_a_damaged_log_ends_a_benchmark_with_an_error_that_names_it(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    what = ("--tasks", "vtab/dtd", "--trunks", "vits14", "--methods", "linear", "--grid", "lr=1e-3", "--seeds", "1")
    assert bench.run("w", what=what) == 0
    (run,) = (bench.folder / "w").glob("**/final/seed=0")
    write_log(run, "20261127_1", [row(1, 2.0)], "{half a line\n")
    with pytest.raises(SystemExit, match="2"):
        bench.run("w", what=what)
    assert "line 2, is no JSON" in capsys.readouterr().err
