"""Whatever stands in a plan, it is understood or refused by a sentence that says where and what was expected."""

from __future__ import annotations

import copy
import datetime
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from davpt_seg.benchmark.plan.drawings import Figure, Table
from davpt_seg.benchmark.plan.fields import WORDS
from davpt_seg.benchmark.plan.parts import read
from davpt_seg.benchmark.plan.plan import check_importance, plan_of
from davpt_seg.benchmark.plan.reading import read_plan, read_yaml
from davpt_seg.benchmark.plan.schema import Method, PlanFile, Setting
from davpt_seg.benchmark.plan.space import Range
from davpt_seg.errors import InputError

PLAN: dict[str, Any] = yaml.safe_load("""
tasks: [vtab/dtd, fgvc]
trunks: [vitb_mae]
seeds: {vtab: 5, fgvc: [0, 3]}
amp: true
common: {epochs: 10, head_lr: 1e-2}
cfg_options: [train_dataloader.num_workers=4]
grid: {lr: [1e-3, 5e-3], model.backbone.guidance.metric: [proxy_nca, triplet]}
sampler: grid
search_seed: 7
methods:
  - linear
  - full: {grid: {lr: 1e-5}, cfg_options: [a.b=1]}
  - few: {method: davpt+bias, prompts: 4, drop_path: 0.1}
  - one: {method: davpt, over: {block: [9, 10]}, cfg_options: ["model.backbone.guidance.blocks=[{block}]"]}
  - two: {over: {kind: {a: {method: davpt}, b: {method: vpt_deep, prompts: 3}}}}
figures: {f: {series: [one], baselines: [linear], xlabel: block, title: Blocks}}
tables: {t: {rows: {few: [], one_9: [guidance]}, title: Parts}}
""")
TPE: dict[str, Any] = {**PLAN, "sampler": "tpe", "trials": 3, "grid": {"lr": {"low": 1e-4, "high": 1e-2, "log": True}}}
HUGE = 16**5000  # as YAML may have it: 0x1000...
NEVER = [datetime.date(2026, 11, 27), b"x", {"no_such": {"key": 1}}, [[]], float("nan"), {3: 4}, {(1, 2): 3}, {1, 2}]
WRONG = [
    *NEVER,
    None,
    True,
    0,
    -1,
    7,
    1.5,
    float("inf"),
    HUGE,
    -HUGE,
    "",
    "x",
    "a/b",
    "../x",
    "a\nb",
    "é" * 300,
    [],
    {},
]
WRONG += [["x"], [1], [None], {"x": 1}, {"": ""}, "9" * 5000, "1e999", "davpt", {"over": {}}, {"low": 1, "high": "2"}]


def places(content: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of each value in a tree."""
    items = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, value in items:
        yield (*above, key)
        yield from places(value, (*above, key))


def changed(plan: Any, path: tuple[Any, ...], value: Any) -> Any:
    plan = copy.deepcopy(plan)
    place = plan
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return plan


def refusal(plan: Any) -> str:
    """Return the message; empty where the plan is understood. Another exception is an error of ours."""
    try:
        plan_of(plan)
    except InputError as error:
        return str(error)
    return ""


def check_sentence(told: str) -> None:
    assert "\n" not in told.replace("a\nb", ""), told
    assert not re.search(r"pydantic|validation error|errors\.pydantic|Input should|type=|loc=|_known|ValueError", told)
    assert len(told) < 1000, told


@pytest.mark.parametrize("base", [PLAN, TPE], ids=["grid", "tpe"])
def test_a_wrong_value_at_any_place_is_refused_by_a_sentence_that_names_the_place(base: dict[str, Any]) -> None:
    assert refusal(base) == ""
    for path in places(base):
        for value in WRONG:
            told = refusal(changed(base, path, value))
            check_sentence(told)
            if any(value is each for each in NEVER):
                assert told, f"{path} = {value!r} was taken"
            # One of the keys above the value, or what names its entry: figure 'f', the methods, a label of an axis.
            named = [str(key) for key in path if isinstance(key, str)]
            if path[0] == "methods":  # what a figure or a table names may be gone
                named += ["figure 'f'", "table 't'"]
            assert not told or any(name.rstrip("s") in told for name in named), f"{path} = {value!r}: {told}"


@pytest.mark.parametrize("seed", range(5))
def test_no_mixture_of_wrong_values_brings_a_traceback(seed: int) -> None:
    draw = random.Random(seed)
    for _ in range(100):
        plan = copy.deepcopy(draw.choice([PLAN, TPE]))
        for _ in range(draw.randint(1, 6)):
            paths = list(places(plan))
            if paths:
                plan = changed(plan, draw.choice(paths), copy.deepcopy(draw.choice(WRONG)))
        check_sentence(refusal(plan))
    for content in WRONG:
        check_sentence(refusal(content))


def test_a_misspelled_key_at_any_place_is_refused_with_the_right_one() -> None:
    parts = ((), ("common",), ("grid",), ("figures", "f"), ("seeds",), ("grid", "lr"))
    for path in places(TPE):
        key = path[-1]
        if path[:-1] in parts and key not in ("methods", "tables"):
            wrong = changed(changed(TPE, path, None), (*path[:-1], f"{key}x"), 1)
            assert f"has no '{key}x'; did you mean '{key}'" in refusal(wrong), (path, refusal(wrong))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"grid": {"lr": {"low": 1, "high": 2, "log": "no"}}}, "grid lr, log must be true or false, got 'no'"),
        ({"grid": {"lr": {"high": 2}}}, "grid lr needs 'low', got {'high': 2}"),
        ({"grid": {"lr": {"low": 1, "high": 2, "lg": True}}}, "grid lr has no 'lg'; did you mean 'log'?"),
        ({"grid": {"lr": [1, True]}}, "grid lr must be a number or a text, got True"),
        ({"common": {"epochs": None}}, "common: epochs must be a number or a text, got None"),
        (
            {"methods": [{"x": {"method": "davpt", "grid": {"lr": [1, 1]}}}]},
            "method 'x', grid lr: values must be given",
        ),
        ({"methods": [{"x": {"method": 5}}]}, "method 'x', method must be a text, got 5"),
        ({"methods": [{"x": {"method": "davpt", "amp": True}}]}, "method 'x' has no 'amp'"),
        ({"methods": [{3: {"method": "davpt"}}]}, "methods: an entry is a name, or"),
        ({"methods": {"a": {"over": {"x": [1]}}, "a_1": {}}}, "methods: 'a_1' appears twice"),
        (
            {"methods": {"a": {"over": {"x": [1]}}, "b": {"over": {"x": [1]}, "method": "a"}}},
            "method 'a_1', method: there is no method 'a'",
        ),
        ({"tables": {"t": {"rows": {"one_9": [1], "few": []}}}}, "table 't', rows, one_9 must be a text, got 1"),
        ({"seeds": 10**9}, "seeds must be a list of numbers, or their count (5 means 0 to 4), got 1000000000"),
        ({"search_seed": -1}, "search_seed must be an integer from 0 to 4294967295, got -1"),
        ({"trials": 0}, "trials must be an integer from 1 to 100000, got 0"),
        (
            {"methods": [{"a": {"method": "davpt", "over": {"x": {"b": {"over": 1}}}}}]},
            "method 'a_b', over must be beside",
        ),
        (
            {"grid": {word: [*range(10)] for word in WORDS[2:9]}, "common": {}},
            "a grid of 10000000 combinations; give at most 100000",
        ),
        ({"search_seed": True}, "search_seed must be an integer, got True"),
        (
            {"methods": [{"x": {"method": "a=b.py"}}]},
            "method 'x', method: a method's name or path must not hold , or =",
        ),
    ],
)
def test_messages_name_place_expectation_and_value(change: dict[str, Any], told: str) -> None:
    assert refusal({**PLAN, "tables": {}, "figures": {}, **change}).startswith(told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("tasks: [vtab/dtd]\ntasks: [vtab/svhn]\n", "'tasks' appears twice"),
        ("methods: {few: {method: davpt, prompts: 4, prompts: 8}}\n", "'prompts' appears twice"),
        ("tasks: &all [vtab/dtd, *all]\n", "recursive"),
        ("methods: [{x: &x {method: davpt, over: {n: [1, 2]}, cfg_options: [*x]}}]\n", "recursive"),
        ("a: " + "[" * 1000, "is no YAML"),
        ("search_seed: " + "1" * 5000, "is no YAML"),
        ("tasks: 2026-99-99", "is no YAML"),
        ("tasks: [\x00]", "is no YAML"),
        ("{[a]: 1}", "is no YAML"),
        ("", "must be a mapping, with keys such as tasks"),
    ],
)
def test_a_file_that_hides_a_value_or_has_no_end_is_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "plan.yaml").write_text(text)
    with pytest.raises(InputError, match=told):
        read_yaml(tmp_path / "plan.yaml")


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_bytes(b"tasks: [\xff\xfe]\n")
    with pytest.raises(InputError, match="is no YAML"):
        read_yaml(tmp_path / "plan.yaml")


def test_anchors_and_merge_keys_of_yaml_work_as_before(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "tasks: [vtab/dtd]\ntrunks: [vits14]\ngrid: {}\nmethods:\n"
        "  - a: &a {method: davpt, prompts: 4, lr: 1e-3}\n  - b: {<<: *a, prompts: 8}\n  - c: *a\n"
    )
    words = [study.words for study in plan_of(read_plan(tmp_path / "plan.yaml")).studies]
    assert words == [{"prompts": count, "lr": 0.001} for count in (4, 8, 4)]


def test_nested_anchors_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    lists = "".join(f"  - &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    (tmp_path / "plan.yaml").write_text(f"methods: [davpt]\ncfg_options:\n  - &a0 [x]\n{lists}")
    with pytest.raises(InputError, match=r"^cfg_options: \['x'\] is no KEY=VALUE$"):
        read_plan(tmp_path / "plan.yaml")
    (tmp_path / "plan.yaml").write_text(f"methods: [davpt]\ntasks:\n  - &a0 [x]\n{lists}")
    with pytest.raises(InputError, match=r"^tasks must be a list of names, got ") as error:
        read_plan(tmp_path / "plan.yaml")
    check_sentence(str(error.value)[:900])


def test_a_wrong_setting_is_refused_by_its_name(tmp_path: Path) -> None:
    plan, setting = tmp_path / "plan.yaml", tmp_path / "small.yaml"
    plan.write_text("settings: [small]\nmethods: [davpt]\n")
    base = {key: PLAN[key] for key in Setting.model_fields}
    for path in places(base):
        for value in NEVER[2:6]:
            setting.write_text(yaml.safe_dump(changed(base, path, value)))
            with pytest.raises(InputError, match=f"^setting 'small', {path[0]}") as error:
                read_plan(plan)
            check_sentence(str(error.value))


def test_a_grid_of_the_command_line_takes_precedence_over_that_of_a_variant(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(
        "tasks: [vtab/dtd]\ntrunks: [vits14]\nmethods:\n"
        "  - x: {method: davpt, over: {n: {a: {prompts: 4, grid: {lr: [1, 2]}}, b: {prompts: 8, lr: 3}, c: {}}}}\n"
    )
    typed = read(PlanFile, {"grid": {"lr": ["5e-3", "6e-3"]}})
    studies = plan_of(read_plan(tmp_path / "plan.yaml", None, typed)).studies
    assert [study.space.axes for study in studies] == 3 * [{"lr": (0.005, 0.006)}]
    assert [study.words for study in studies] == [{"prompts": 4}, {"prompts": 8}, {}]
    a, b, _ = plan_of(read_plan(tmp_path / "plan.yaml")).studies
    assert (a.space.axes, b.words) == ({"lr": (1, 2)}, {"prompts": 8, "lr": 3})


def test_importance_has_a_value_of_each_word_that_is_searched() -> None:
    with pytest.raises(InputError, match="method 'x' has importance, but neither prompt_share nor segment_share"):
        check_importance("method 'x'", {}, ["lr"], ["lr"])
    with pytest.raises(InputError, match=r"lr is searched, .* needs a value: importance: {lr: ...}"):
        check_importance("method 'x'", {}, ["prompt_share"], ["lr", "prompt_share"])
    with pytest.raises(InputError, match="remove segment_share"):
        check_importance("method 'x'", {"segment_share": 1}, ["prompt_share"], ["prompt_share"])
    check_importance("method 'x'", {"lr": 1e-3}, ["epochs", "prompt_share"], ["lr", "prompt_share"])
    check_importance("method 'x'", {}, ["segment_share"], [])


def test_a_definition_has_importance_only_where_a_method_has(monkeypatch: pytest.MonkeyPatch) -> None:
    words = (*WORDS, "prompt_share")
    for module in ("fields", "schema"):
        monkeypatch.setattr(f"davpt_seg.benchmark.plan.{module}.WORDS", words)
    method = {"method": "vpt_deep", "prompt_share": 0.5, "importance": {"lr": "1e-3"}}
    plain, pruned = plan_of(
        {**PLAN, "grid": {"lr": [1, 2]}, "methods": ["vpt_deep", {"pruned": method}], "figures": {}, "tables": {}}
    ).studies[:2]
    assert (plain.importance, pruned.importance) == (None, {"lr": 0.001})
    assert "importance" not in plain.definition() and pruned.definition()["importance"] == {"lr": 0.001}
    told = refusal({**PLAN, "methods": [{"x": {**method, "importance": {"lrr": 1}}}], "figures": {}, "tables": {}})
    assert told.startswith("method 'x', importance has no 'lrr'; did you mean 'lr'")


def test_the_tables_of_the_docs_are_the_schemas() -> None:
    text = (Path(__file__).parents[2] / "docs" / "words.md").read_text()
    for model in (PlanFile, Method, Range, Figure, Table):
        for name, field in model.model_fields.items():
            if not field.exclude:
                assert f"| `{name}` | {field.description} |" in text, (model, name)
