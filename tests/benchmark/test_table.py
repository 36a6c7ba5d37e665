"""Means, deviations and what stands where: checked against NumPy and against the paper's own figures."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from davpt_seg.benchmark.plan.drawings import Table
from davpt_seg.benchmark.plan.tasks import GROUPS, tasks_of
from davpt_seg.benchmark.report import markdown
from davpt_seg.benchmark.report.ablations import component_table
from davpt_seg.benchmark.report.figures import table_figure
from davpt_seg.benchmark.report.published import Cell, published
from davpt_seg.benchmark.report.table import MEANS, Choice, Column, Score, score_at, score_of
from davpt_seg.runs.results import times

TASKS = (*tasks_of("vtab"), *tasks_of("fgvc"))
# Their printed means, 65.90, 41.73 and 53.09, are not those of their printed groups, 65.23, 41.07 and 53.76.
PRINTED_OTHERWISE = [("vitb_mocov3", "vpt_deep"), ("vitb_mae", "vpt_deep"), ("vitb_mae", "gatevpt")]
LOG = """\
11/24 01:19:42 - mmengine - INFO - Epoch(train) [1][10/32]  base_lr: 2.9103e-03 lr: 2.9103e-03  eta: 0:00:07  time: 0.5000  data_time: 0.0368  loss: 2.2446
11/24 01:19:43 - mmengine - INFO - Epoch(train)  [1][20/32]  lr: 6.1329e-03  eta: 0:00:05  time: 0.1046  data_time: 0.0104
11/24 01:19:43 - mmengine - INFO - Epoch(val) [1][13/13]    accuracy/top1: 40.5000  data_time: 0.0104  time: 9.1000
11/24 01:19:44 - mmengine - INFO - Epoch(train) [10][30/32]  lr: 9.3555e-03  eta: 0:00:03  time: 0.0988  data_time: 0.0088
"""  # noqa: E501


ITERATIONS = """\
2026/11/23 19:55:45 - mmengine - INFO - Iter(train) [ 10/150]  base_lr: 1.0e-02 lr: 3.0e-03  eta: 0:04:56  time: 2.1203  data_time: 0.0434
2026/11/23 19:56:07 - mmengine - INFO - Iter(train) [ 20/150]  base_lr: 9.8e-03 lr: 2.9e-03  eta: 0:04:41  time: 2.2000  data_time: 0.0511
2026/11/23 19:56:31 - mmengine - INFO - Iter(train) [ 30/150]  base_lr: 9.5e-03 lr: 2.8e-03  eta: 0:04:28  time: 2.4005  data_time: 0.0626
2026/11/23 19:57:00 - mmengine - INFO - Iter(val) [10/101]    eta: 0:04:28  time: 9.4005  data_time: 0.0626
"""  # noqa: E501


def column(
    accuracy: dict[str, float], name: str = "davpt", trunk: str = "vitb_augreg_in21k", head: str = "classifier"
) -> Column:
    spread = np.array([-1, 0, 0, 0, 1]) * 0.5**0.5  # over five seeds: a sample standard deviation of 0.5
    by_seed = {task: dict(enumerate(value + spread)) for task, value in accuracy.items()}
    return of_seeds(by_seed, name, trunk, head)


def of_seeds(
    by_seed: dict[str, dict[int, float]],
    name: str = "davpt",
    trunk: str = "vitb_augreg_in21k",
    head: str = "classifier",
) -> Column:
    scores = {task: score_of(list(found.values()), 5) for task, found in by_seed.items()}
    costs = dict(tuned=0.2, tuned_with_head=0.3, seconds_per_epoch=None)
    return Column(trunk, name, "davpt", scores, costs, {}, head, by_seed)


def means(by_task: dict[str, float]) -> dict[str, float]:
    """Return the means over tasks that one seed's scores have."""
    found = {row: score_at(of_seeds({task: {0: value} for task, value in by_task.items()}), row) for row in MEANS}
    return {row: score.mean for row, score in found.items() if score is not None}


def test_a_score_is_mean_and_sample_deviation_over_seeds() -> None:
    values = [70.0, 71.5, 69.2]
    score = score_of(values, 5)
    assert score.mean == pytest.approx(np.mean(values))
    assert score.std == pytest.approx(np.std(values, ddof=1))
    assert (score.seeds, score.expected) == (3, 5)
    assert score_of([70.0], 1).std is None
    assert score_of([], 1) is None


def test_the_two_means_of_vtab_are_of_tasks_and_of_groups() -> None:
    accuracy = {task: float(value) for task, value in zip(TASKS, np.random.default_rng(0).uniform(0, 100, 24))}
    found = means(accuracy)
    values = np.array(list(accuracy.values()))
    natural, specialized, structured, fgvc = values[:7], values[7:11], values[11:19], values[19:]
    assert found["vtab/natural"] == pytest.approx(natural.mean())
    assert found["vtab/specialized"] == pytest.approx(specialized.mean())
    assert found["vtab/structured"] == pytest.approx(structured.mean())
    assert found["fgvc"] == pytest.approx(fgvc.mean())
    assert found["vtab/mean_of_tasks"] == pytest.approx(np.concatenate([natural, specialized, structured]).mean())
    assert found["vtab/mean_of_groups"] == pytest.approx((natural.mean() + specialized.mean() + structured.mean()) / 3)
    assert found["vtab/mean_of_groups"] != pytest.approx(found["vtab/mean_of_tasks"])


@pytest.mark.parametrize("task", TASKS)
def test_a_missing_task_takes_the_means_that_need_it(task: str) -> None:
    found = means({each: 50.0 for each in TASKS if each != task})
    missing = MEANS.keys() - found
    group = next(name for name in GROUPS if task in tasks_of(name))
    assert missing == ({"fgvc"} if group == "fgvc" else {group, "vtab/mean_of_tasks", "vtab/mean_of_groups"})


def test_a_mean_over_tasks_is_over_the_seeds_that_all_have_and_says_how_many() -> None:
    tasks = tasks_of("vtab/natural")
    by_seed = {task: {seed: 60.0 + 5 * seed for seed in range(5)} for task in tasks}
    by_seed[tasks[0]] = {0: 60.0, 1: 51.0}
    found = of_seeds(by_seed, trunk="vits14")
    means = [60.0, (51 + 6 * 65) / 7]
    text = f"{np.mean(means):.2f} ± {np.std(means, ddof=1):.2f} (2 of 5)"
    assert f"| mean of Natural (7 tasks) | {text} |" in markdown.trunk_table("vits14", [found])
    assert f"| {text} | - |" in component_table(Table(rows={"davpt": (), "bias": ()}), [found])
    (line,) = [row for row in csv.DictReader(io.StringIO(markdown.as_csv([found]))) if row["row"] == "vtab/natural"]
    assert (float(line["mean"]), float(line["deviation"])) == pytest.approx((np.mean(means), np.std(means, ddof=1)))
    assert line["seeds"] == "2"
    (panel,) = [axes for axes in table_figure([found]).axes if axes.get_title() == "mean of Natural (7 tasks)"]
    (dot,) = [each.get_xdata()[0] for each in panel.lines if each.get_marker() == "o" and len(each.get_xdata())]
    assert dot == pytest.approx(np.mean(means))
    del by_seed[tasks[1]][0], by_seed[tasks[1]][1]
    assert score_at(of_seeds(by_seed), "vtab/natural") is None  # no seed is in all tasks


def test_published_means_are_those_of_the_published_parts() -> None:
    figures = published()
    for trunk, method in {(cell.trunk, cell.method) for cell in figures}:
        parts = [figures.get(Cell(trunk, "classifier", method, group)) for group in GROUPS if group != "fgvc"]
        if None not in parts and (trunk, method) not in PRINTED_OTHERWISE:
            told = figures[Cell(trunk, "classifier", method, "vtab/mean_of_groups")]
            assert told == pytest.approx(np.mean(parts), abs=0.02)
        sets = [figures.get(Cell(trunk, "classifier", method, task)) for task in tasks_of("fgvc")]
        if None not in sets and Cell(trunk, "classifier", method, "fgvc") in figures:
            assert figures[Cell(trunk, "classifier", method, "fgvc")] == pytest.approx(np.mean(sets), abs=0.06)
    assert figures[Cell("vitb_mae", "classifier", "davpt_plus", "vtab/structured")] == 59.28
    assert figures[Cell("vitb_in21k", "classifier", "linear", "fgvc/cars")] == 51.3


def test_published_figures_stand_under_ours_and_say_so() -> None:
    text = markdown.trunk_table("vitb_augreg_in21k", [column(dict.fromkeys(TASKS, 50.0))])
    lines = text.splitlines()
    place = lines.index("| VTAB-1k: mean of the 3 group means | 50.00 ± 0.50 |")
    assert lines[place + 1] == "| *VTAB-1k: mean of the 3 group means, published* | *74.69* |"
    assert "| *fgvc/cub, published* | *90.20* |" in lines
    assert "| vtab/dtd | 50.00 ± 0.50 |" in lines
    assert "published" not in markdown.trunk_table(
        "vitb_augreg_in21k", [column(dict.fromkeys(TASKS, 50.0), name="davpt_4")]
    )


def test_what_is_missing_is_a_dash() -> None:
    found = column({"vtab/dtd": 50.0}, trunk="vits14")  # of which nothing is published
    found.scores["vtab/svhn"] = None  # without any result
    found.scores["vtab/mine"] = Score(60.0, None, 1, 3)
    lines = markdown.trunk_table("vits14", [found]).splitlines()
    assert lines[2:] == [
        "| vtab/dtd | 50.00 ± 0.50 |",
        "| vtab/svhn | - |",
        "| mean of Natural (7 tasks) | - |",
        "| VTAB-1k: mean of the 19 tasks | - |",
        "| VTAB-1k: mean of the 3 group means | - |",
        "| vtab/mine | 60.00 (1 of 3) |",
        "| tuned parameters, without head (M) | 0.200 |",
        "| tuned parameters, with head (M) | 0.300 |",
    ]


def test_choices_are_listed_with_those_at_an_end_of_their_grid() -> None:
    found = column({"vtab/dtd": 50.0})
    found.chosen["vtab/dtd"] = Choice({"lr": 0.1, "prompts": 4}, 66.0, ("lr",))
    assert "| vtab/dtd | lr=0.1^ prompts=4 (66.00) |" in markdown.choices("vits14", [found])


def test_the_csv_has_every_figure_unrounded() -> None:
    rows = list(csv.DictReader(io.StringIO(markdown.as_csv([column({"vtab/dtd": 2 / 3})]))))
    (dtd,) = [row for row in rows if row["row"] == "vtab/dtd"]
    assert float(dtd["mean"]) == pytest.approx(2 / 3, rel=1e-12)
    assert float(dtd["deviation"]) == pytest.approx(0.5, rel=1e-12)
    assert (dtd["seeds"], dtd["benchmark"]) == ("5", "vtab")
    (natural,) = [row for row in rows if row["row"] == "vtab/natural"]
    assert (natural["mean"], natural["published"]) == ("", "80.25")


def test_the_figure_has_a_panel_for_each_task_and_mean(tmp_path: Path) -> None:
    methods = [column(dict.fromkeys(TASKS, 50.0), name, trunk) for trunk in ("a", "b") for name in ("davpt", "bias")]
    figure = table_figure(methods)
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert len(panels) == 24 + 6  # three groups, two means of VTAB, one of FGVC
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["davpt", "bias"]
    dots = [line.get_xdata()[0] for line in panels[0].lines if line.get_marker() == "o" and len(line.get_xdata())]
    assert dots == pytest.approx([50.0] * 4)
    table_figure([column({"vtab/dtd": 1.0})]).savefig(tmp_path / "x.png")
    table_figure([]).savefig(tmp_path / "nothing.png")


def test_seconds_per_epoch_are_the_median_iterations_times_their_number() -> None:
    found = times(LOG, batch_size=16)
    assert found["seconds_per_epoch"] == pytest.approx(32 * 0.1046, abs=5e-4)
    assert found["seconds_per_iteration"] is None  # by epochs
    assert found["ms_per_image"] == pytest.approx(1000 * 0.1046 / 16)
    assert set(times("nothing", 16).values()) == {None}


def test_training_by_iterations_has_seconds_of_one() -> None:
    found = times(ITERATIONS, batch_size=None)
    assert found == dict(seconds_per_iteration=2.2, seconds_per_epoch=None, ms_per_image=None)


def test_segmentation_has_its_score_its_rows_and_no_others() -> None:
    found = column({"camvid_crop112": 50.0}, trunk="vits14", head="linear")
    found.costs["seconds_per_iteration"] = 0.75
    text = markdown.markdown([found])
    assert text.splitlines()[:6] == [
        "| vits14 | davpt |",
        "| --- | --- |",
        "| camvid_crop112 | 50.00 ± 0.50 |",
        "| tuned parameters, without head (M) | 0.200 |",
        "| tuned parameters, with head (M) | 0.300 |",
        "| seconds per iteration | 0.750 |",
    ]
    assert "Test mIoU in percent." in text
    assert not any(word in text for word in ("accuracy", "VTAB", "FGVC", "published", "A mean of tasks"))
    (line,) = [row for row in csv.DictReader(io.StringIO(markdown.as_csv([found]))) if row["row"] == "camvid_crop112"]
    assert (line["benchmark"], float(line["mean"])) == ("segmentation", pytest.approx(50.0))
    figure = table_figure([found])
    assert figure.get_supxlabel() == "test mIoU (%): mean, and standard deviation over seeds"
    both = [found, column({"vtab/dtd": 1.0}, trunk="vits14")]
    assert "Test accuracy and mIoU in percent." in markdown.markdown(both)


@pytest.mark.parametrize(
    ("trunk", "head", "shown"), [("vitl", "setr_pup", True), ("vitl", "upernet", False), ("vitb", "setr_pup", False)]
)
def test_published_segmentation_stands_beside_ours_where_trunk_and_head_are_its_own(
    trunk: str, head: str, shown: bool
) -> None:
    found = column({"ade20k": 50.0, "pascal_context": 50.0, "pascal_context_59": 50.0}, trunk=trunk, head=head)
    lines = markdown.trunk_table(trunk, [found]).splitlines()
    told = [line for line in lines if "published" in line]
    assert told == shown * [
        "| *ade20k, published* | *45.10* |",
        "| *pascal_context, published* | *50.15* |",
        "| *tuned parameters, with head (M), published* | *13.600* |",
    ]
