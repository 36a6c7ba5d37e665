"""Ablations as plans: series of variants, and settings that they are run on."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import yaml

from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.benchmark.options import parser, plan_asked_for
from davpt_seg.benchmark.plan import reading
from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.reading import known_plans, read_plan
from davpt_seg.benchmark.plan.study import Study
from davpt_seg.errors import InputError

PLAN: dict[str, Any] = dict(tasks=["vtab/dtd"], trunks=["vitb_in21k"], grid={})
SETTING = (
    "tasks: [vtab/dtd]\nseeds: 3\ntrunks: [vits14]\ncommon: {epochs: 3, lr: 1e-2}\ncfg_options: [a.b=1]\ngrid: {}\n"
)
ABLATION = "settings: [small, large]\nseeds: 7\ncommon: {epochs: 5}\ncfg_options: [a.b=2]\nmethods: [davpt]\n"


def studies(plan: dict[str, Any]) -> list[Study]:
    return plan_of(plan).studies


@pytest.fixture
def ablation(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SETTING)
    (tmp_path / "large.yaml").write_text(SETTING.replace("vits14", "vitb_in21k"))
    path = tmp_path / "mine.yaml"
    path.write_text(ABLATION)
    return path


def test_text_over_an_axis_takes_its_place_in_words_methods_and_options() -> None:
    entry = {
        "method": "{kind}",
        "prompts": 4,
        "over": {"kind": {"a": "davpt", "b": "vpt_deep"}},
        "cfg_options": ["x.y={kind}"],
    }
    first, second = studies({**PLAN, "methods": [{"m": entry}]})
    assert (first.name, first.method, first.words, first.cfg_options) == (
        "m_a",
        "davpt",
        {"prompts": 4},
        ("x.y=davpt",),
    )
    assert (second.name, second.method, second.cfg_options) == ("m_b", "vpt_deep", ("x.y=vpt_deep",))


def test_numbers_over_an_axis_are_numbers_in_words() -> None:
    entry = {"method": "davpt", "prompts": "{n}", "over": {"n": [1, 20]}}
    assert [study.words for study in studies({**PLAN, "methods": [{"m": entry}]})] == [{"prompts": 1}, {"prompts": 20}]


def test_settings_over_an_axis_are_put_over_the_entrys() -> None:
    over = {"what": {"plain": {}, "both": {"method": "davpt+bias", "prompts": 7, "cfg_options": ["c.d=2"]}}}
    entry = {"method": "davpt", "prompts": 4, "over": over, "cfg_options": ["a.b=1"]}
    plain, both = studies({**PLAN, "methods": [{"m": entry}]})
    assert (plain.method, plain.words, plain.cfg_options) == ("davpt", {"prompts": 4}, ("a.b=1",))
    assert (both.method, both.words, both.cfg_options) == ("davpt+bias", {"prompts": 7}, ("a.b=1", "c.d=2"))


@pytest.mark.parametrize(
    ("over", "told"),
    [
        ({"block": [1, 2], "side": [3]}, "over is one axis with its values"),
        (["block"], "over is one axis with its values"),
        ({"block": []}, "a list of values, or 'label: value'"),
        ({"block": [1, 1]}, "over block: each value once"),
        ({"block": [1, 2]}, "nothing differs over block; write {block} where its value belongs"),
        ({"x": {"a": {"promts": 1}, "b": {}}}, "method 'm_a' has no 'promts'; did you mean 'prompts'"),
        ({"x": {"a/b": {"prompts": 1}, "b": {}}}, "'m_a/b': a name becomes a folder"),
        ({"x": {"a": {"cfg_options": ["val_dataloader.dataset=1"]}, "b": {}}}, "which only the protocol sets"),
    ],
)
def test_a_wrong_axis_is_refused_with_what_was_expected(over: Any, told: str) -> None:
    with pytest.raises(InputError, match=told):
        studies({**PLAN, "methods": [{"m": {"method": "davpt", "over": over}}]})


def test_too_many_values_over_an_axis_are_refused_before_they_are_looked_at() -> None:
    many = {"prompts": "{x}", "over": {"x": list(range(300_000))}}
    with pytest.raises(InputError, match="method 'davpt', over x: at most 1,000 values, got 300,000"):
        studies({**PLAN, "methods": [{"davpt": many}]})


def test_a_variant_that_has_a_methods_name_is_refused() -> None:
    series = {"davpt": {"over": {"x": {"plus": {"prompts": 1}, "b": {}}}}}
    with pytest.raises(InputError, match="'davpt_plus' appears twice"):
        studies({**PLAN, "methods": [series, "davpt_plus"]})


def test_a_plan_lies_over_its_setting(ablation: Path) -> None:
    plan = read_plan(ablation)
    assert (plan.tasks, plan.trunks, list(plan.methods)) == (("vtab/dtd",), ("vits14",), ["davpt"])
    assert set(plan.seeds.values()) == {tuple(range(7))}
    assert (plan.common, plan.grid) == ({"epochs": 5, "lr": 0.01}, {})
    assert plan.cfg_options == ("a.b=1", "a.b=2")  # the later wins
    assert read_plan(ablation, "large").trunks == ("vitb_in21k",)


def test_a_setting_is_chosen_on_the_command_line_and_has_a_work_dir_of_its_own(ablation: Path) -> None:
    args = parser().parse_args([str(ablation), "--setting", "large", "--seeds", "2"])
    plan, folder = plan_asked_for(args)
    (study,) = plan.studies
    assert (study.trunk, study.seeds, study.space.points()) == ("vitb_in21k", (0, 1), [{}])
    assert folder == Path("work_dirs/benchmarks/mine/large")
    assert plan_asked_for(parser().parse_args([str(ablation)]))[1] == Path("work_dirs/benchmarks/mine/small")
    assert plan_asked_for(parser().parse_args(["ablations/blocks"]))[1] == Path(
        "work_dirs/benchmarks/ablations/blocks/vitb"
    )
    assert plan_asked_for(parser().parse_args(["vtab"]))[1] == Path("work_dirs/benchmarks/vtab")


def test_the_files_of_a_plan_are_read_once(ablation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = mock.Mock(wraps=reading.read_yaml)
    monkeypatch.setattr(reading, "read_yaml", read)
    plan_asked_for(parser().parse_args([str(ablation)]))
    assert [call.args[0].name for call in read.call_args_list] == ["mine.yaml", "small.yaml"]


def test_a_typed_grid_searches_what_a_setting_fixes(ablation: Path) -> None:
    (study,) = plan_asked_for(parser().parse_args([str(ablation), "--grid", "lr=1e-3,1e-2"]))[0].studies
    assert (study.words, study.space.axes) == ({"epochs": 5}, {"lr": (0.001, 0.01)})


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("prompts=32", r"--set prompts=32: method 'few' of the plan sets prompts=4 itself; omit it by --methods"),
        (
            "drop_path=0.2",
            r"--set drop_path=0.2: method 'few' of the plan searches drop_path itself; .* --grid drop_path",
        ),
    ],
)
def test_a_typed_value_that_a_methods_own_would_replace_is_refused(ablation: Path, typed: str, told: str) -> None:
    few = "{few: {method: davpt, prompts: 4, grid: {lr: [1, 2], drop_path: [0, 0.1]}}}"
    ablation.write_text(f"settings: [small]\nmethods: [davpt, {few}]\n")
    with pytest.raises(InputError, match=told):
        plan_asked_for(parser().parse_args([str(ablation), "--set", typed]))
    (study,) = plan_asked_for(parser().parse_args([str(ablation), "--set", typed, "--methods", "davpt"]))[0].studies
    key, value = typed.split("=")
    assert study.words[key] == float(value)
    assert plan_asked_for(parser().parse_args([str(ablation), "--set", "epochs=7"]))[0].studies[1].words["epochs"] == 7


def test_a_word_typed_both_as_a_value_and_as_a_grid_is_refused(ablation: Path) -> None:
    with pytest.raises(InputError, match="lr both fixed and searched"):
        plan_asked_for(parser().parse_args([str(ablation), "--set", "lr=1", "--grid", "lr=1,2"]))


def test_a_series_on_the_command_line_stands_for_its_variants() -> None:
    found, _ = plan_asked_for(
        parser().parse_args(["ablations/blocks", "--methods", "one_block", "--tasks", "fgvc/cub"])
    )
    assert [study.name for study in found.studies] == [f"one_block_{block}" for block in range(12)]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["ablations/blocks", "--setting", "camvit"], "'blocks' has no setting 'camvit'; did you mean 'camvid'"),
        (["vtab", "--setting", "camvid"], "'vtab' has no setting 'camvid'; it lists none"),
        (["--setting", "camvid"], "--setting camvid needs a plan file"),
        (["ablations/block"], "did you mean 'ablations/blocks'"),
        (["ablations/blocks", "--methods", "one_blok"], "the plan has no 'one_blok'; did you mean 'one_block'"),
    ],
)
def test_wrong_settings_and_series_are_refused_with_what_was_meant(arguments: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        plan_asked_for(parser().parse_args(arguments))


@pytest.mark.parametrize(
    ("content", "told"),
    [("methods: [davpt]", "setting 'small' has no 'methods'"), ("- tasks", "must be a mapping"), (None, "no setting")],
)
def test_a_wrong_setting_file_is_refused(ablation: Path, content: str, told: str) -> None:
    path = ablation.with_name("small.yaml")
    if content is None:
        path.unlink()
    else:
        path.write_text(content)
    with pytest.raises(InputError, match=told):
        read_plan(ablation)


def test_all_plans_are_listed_with_their_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main_benchmark(["--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(known_plans())
    (blocks,) = [line for line in lines if line.startswith("ablations/blocks ")]
    assert blocks.endswith("(--setting vitb, cifar10_1k, camvid)")
    assert "Which blocks are guided" in blocks


def test_the_examples_of_the_docs_are_plans() -> None:
    text = (Path(__file__).parents[2] / "docs" / "benchmark.md").read_text()
    first, second = (yaml.safe_load(block.partition("```")[0]) for block in text.split("```yaml")[1:])
    assert len(plan_of(first).studies) == 8 * 4 * 5
    assert second.pop("settings") == ["vitb", "camvid"]
    found = plan_of({**PLAN, **second})
    assert [study.name for study in found.studies[:4]] == ["unguided", "one_block_9", "one_block_10", "one_block_11"]
    assert (len(found.drawings.figures), len(found.drawings.tables)) == (1, 1)


def test_a_plan_has_a_series_for_each_entry_with_an_axis() -> None:
    entry = {"method": "davpt", "prompts": "{n}", "over": {"n": [1, 20]}}
    found = plan_of({**PLAN, "methods": ["vpt_deep", {"m": entry}]})
    assert [(each.axis, dict(each.points)) for each in found.series.values()] == [("n", {"1": "m_1", "20": "m_20"})]
