"""Figures along an axis and tables of components: what stands where, and what is said about wrong ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from scipy.stats import ttest_1samp

from davpt_seg.benchmark.plan.drawings import Figure, Table
from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.tasks import tasks_of
from davpt_seg.benchmark.plan.variants import Series
from davpt_seg.benchmark.report.ablations import component_text, figure_text
from davpt_seg.benchmark.report.figures import figure_of
from davpt_seg.benchmark.report.report import draw
from davpt_seg.benchmark.report.table import Column, score_of
from davpt_seg.errors import InputError

from .conftest import Bench
from .fake_train import score

METHODS = ["vpt_deep", {"one": {"method": "davpt", "prompts": "{n}", "over": {"n": [20, 5]}}}]
PLAN: dict[str, Any] = dict(tasks=["vtab/dtd"], trunks=["vits14"], methods=METHODS, grid={})
SERIES = Series("one", "n", {"20": "one_20", "5": "one_5"})
FIGURE = Figure(series=(SERIES,), baselines=("plain",), xlabel="prompts", title="How many")
KINDS = ("natural", "specialized", "structured")
TABLE = Table(rows={"plain": (), "one_5": ("loss",), "one_20": ("loss", "bias")}, title="What it brings")


def column(name: str, by_seed: dict[str, dict[int, float]], **costs: float) -> Column:
    scores = {task: score_of(list(found.values()), 3) for task, found in by_seed.items()}
    return Column("vits14", name, "davpt", scores, {"tuned": 0.1, **costs}, {}, by_seed=by_seed)


COLUMNS = [
    column("plain", {"vtab/dtd": {0: 50.0, 1: 52.0, 2: 54.0}}, ms_per_image=1.5),
    column("one_20", {"vtab/dtd": {0: 51.0, 1: 55.0, 2: 58.0}}, ms_per_image=2.0),
    column("one_5", {"vtab/dtd": {0: 60.0, 2: 61.0}}, ms_per_image=1.75),
]


def test_lines_stand_at_means_with_deviations_and_baselines_lie_flat() -> None:
    (axes,) = [axes for axes in figure_of(FIGURE, COLUMNS).axes if axes.get_visible()]
    (line,) = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    drawn, _, (bars,) = line.lines
    assert [label.get_text() for label in axes.get_xticklabels()] == ["5", "20"]  # by size
    assert drawn.get_xdata() == pytest.approx([0, 1])
    assert drawn.get_ydata() == pytest.approx([60.5, np.mean([51, 55, 58])])
    lengths = [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()]
    assert lengths == pytest.approx([np.std([60, 61], ddof=1), np.std([51, 55, 58], ddof=1)])
    (flat,) = [each for each in axes.lines if each.get_label() == "plain"]
    assert set(flat.get_ydata()) == {52.0}
    (band,) = axes.patches
    assert (band.get_y(), band.get_height()) == pytest.approx((50.0, 4.0))  # 52 ± 2
    assert axes.get_title() == "vtab/dtd"
    assert axes.get_ylabel() == "test accuracy (%)"


def test_the_numbers_of_a_figure_are_written_beside_it() -> None:
    assert figure_text(FIGURE, COLUMNS).splitlines()[2:7] == [
        "| vtab/dtd: test accuracy (%), by prompts | one |",
        "| --- | --- |",
        "| 5 | 60.50 ± 0.71 (2 of 3) |",
        "| 20 | 54.67 ± 3.51 |",
        "| *plain* | 52.00 ± 2.00 |",
    ]


def test_words_on_an_axis_stay_in_their_order_and_missing_points_are_left_out() -> None:
    series = Series("kind", "kind", {"zebra": "one_20", "ant": "one_5", "cow": "nowhere"})
    figure = figure_of(Figure(series=(series,), xlabel="kind"), COLUMNS)
    axes = figure.axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["zebra", "ant", "cow"]
    (line,) = [each for each in axes.containers if isinstance(each, ErrorbarContainer)]
    assert list(line.lines[0].get_xdata()) == [0, 1]


def told(differences: np.ndarray) -> str:
    """The paired difference as a table writes it, its interval from scipy's paired t-test."""
    low, high = ttest_1samp(differences, 0).confidence_interval(0.95)
    deviation = differences.std(ddof=1)
    return f"{differences.mean():+.2f} ± {deviation:.2f} ({low:+.1f} to {high:+.1f}; {len(differences)} pairs)"


def test_a_table_of_components_checks_them_and_compares_seed_by_seed() -> None:
    lines = component_text(TABLE, COLUMNS).splitlines()
    assert lines[0] == "# What it brings"
    by_seed = np.array([1.0, 3.0, 4.0])  # one_20 less plain; both have all three seeds
    assert lines[4:9] == [
        "|  | loss | bias | vtab/dtd, accuracy (%) | difference | tuned (M) | ms per image |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        "| plain |  |  | 52.00 ± 2.00 | - | 0.100 | 1.50 |",
        # 10 and 7, of seeds 0 and 2
        "| one_5 | ✓ |  | 60.50 ± 0.71 (2 of 3) | +8.50 ± 2.12 (-10.6 to +27.6; 2 pairs) | 0.100 | 1.75 |",
        f"| one_20 | ✓ | ✓ | 54.67 ± 3.51 | {told(by_seed)} | 0.100 | 2.00 |",
    ]


def test_means_over_tasks_are_compared_seed_by_seed_too() -> None:
    tasks = tasks_of("fgvc")
    base = {task: {0: 50.0 + i, 1: 60.0} for i, task in enumerate(tasks)}
    more = {task: {0: 51.0 + 2 * i, 1: 63.0} for i, task in enumerate(tasks)}
    first, second = column("plain", base), column("one_5", more)
    assert first.seed_scores("fgvc") == pytest.approx({0: 52.0, 1: 60.0})
    text = component_text(Table(rows={"plain": (), "one_5": ("loss",)}), [first, second])
    differences = np.array([np.mean([1 + i for i in range(5)]), 3.0])
    assert told(differences) in next(line for line in text.splitlines() if line.startswith("| one_5"))
    del more[tasks[0]][1]
    assert column("one_5", more).seed_scores("fgvc").keys() == {0}


def test_both_means_of_vtab_are_there_by_seed() -> None:
    tasks = tasks_of("vtab")
    values = dict(zip(tasks, np.random.default_rng(0).uniform(0, 100, 19)))
    found = column("plain", {task: {3: value} for task, value in values.items()})
    groups = [np.mean([values[task] for task in tasks_of(f"vtab/{kind}")]) for kind in KINDS]
    assert found.seed_scores("vtab/mean_of_tasks") == {3: pytest.approx(np.mean(list(values.values())))}
    assert found.seed_scores("vtab/mean_of_groups") == {3: pytest.approx(np.mean(groups))}


@pytest.mark.parametrize(
    ("drawn", "told"),
    [
        (dict(figures={"f": {"series": ["on"]}}), "figure 'f', series: the plan has no entry with over 'on'; did you"),
        (dict(figures={"f": {"series": ["vpt_deep"]}}), "no entry with over 'vpt_deep'"),
        (dict(figures={"f": {"series": ["one"], "baselines": ["vpt_dep"]}}), "did you mean 'vpt_deep'"),
        (dict(figures={"f": {}}), "figure 'f' needs 'series'"),
        (dict(figures={"f": {"series": ["one"], "x": 1}}), "figure 'f' has no 'x'; known: series, base"),
        (dict(figures={"f": {"series": ["one"], "title": 1}}), "title must be a text"),
        (dict(figures=["f"]), "figures must be a mapping"),
        (dict(figures={"a/b": {"series": ["one"]}}), "'a/b' becomes a file"),
        (dict(figures={"a" * 250: {"series": ["one"]}}), "becomes a file; .* at most 100"),
        (
            dict(tables={"t": {"rows": {"vpt_deep": [], "one_6": []}}}),
            "table 't', rows: .* 'one_6'; did you mean 'one_5'",
        ),
        (dict(tables={"t": {"rows": {"vpt_deep": []}}}), "rows must be two or more"),
        (dict(tables={"t": {"rows": {"vpt_deep": [], "one_5": "loss"}}}), "one_5 must be a list"),
    ],
)
def test_a_wrong_drawing_is_refused_with_what_was_meant(drawn: dict[str, Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        plan_of({**PLAN, **drawn})


def test_nothing_is_drawn_of_what_has_not_ended(tmp_path: Path) -> None:
    plan = plan_of(
        {**PLAN, "figures": {"f": {"series": ["one"]}}, "tables": {"t": {"rows": {"one_5": [], "one_20": []}}}}
    )
    assert draw([column("one_5", {"vtab/dtd": {}})], plan.drawings, tmp_path) == []


def test_a_benchmark_draws_what_its_plan_declares(bench: Bench) -> None:
    plan = bench.folder / "mine.yaml"
    plan.write_text(
        "tasks: [vtab/dtd, camvid_crop112]\ntrunks: [vits14]\nseeds: 2\ngrid: {}\n"
        "methods: [vpt_deep, {one: {method: davpt, prompts: '{n}', over: {n: [5, 20]}}}]\n"
        "figures: {counts: {series: [one], baselines: [vpt_deep]}}\n"
        "tables: {parts: {rows: {vpt_deep: [], one_5: [guidance]}}}\n"
    )
    assert bench.run("w", what=(str(plan),)) == 0
    figures = bench.folder / "w" / "figures"
    assert {path.name for path in figures.iterdir()} == {"counts_vits14.md", "counts_vits14.png", "parts.md"}
    words = "method=davpt,trunk=vits14,data=camvid_crop112,split=final,prompts=20 randomness.seed={}"
    expected = [score(words.format(seed)) for seed in (0, 1)]
    text = (figures / "counts_vits14.md").read_text()
    row = f"| 20 | {np.mean(expected):.2f} ± {np.std(expected, ddof=1):.2f} |"
    assert row in text.partition("camvid_crop112: test mIoU (%), by n")[2]
    (line,) = [line for line in (figures / "parts.md").read_text().splitlines() if line.startswith("| one_5 | ✓ ")]
    assert line.endswith("| 0.001 | 10.00 |")  # 0.2 s for 20 images
    before = (figures / "parts.md").read_bytes()
    assert bench.run("w", "--report", "--methods", "one", what=(str(plan),)) == 0  # of what was named alone
    assert (figures / "parts.md").read_bytes() != before
