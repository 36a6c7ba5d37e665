"""A study with pruning: all prompts are trained and measured once, then shares are searched and the best tested."""

from __future__ import annotations

import json
import re
from pathlib import Path
from random import Random
from typing import Any

import pytest

from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.space import Trial
from davpt_seg.benchmark.plan.stay import stay
from davpt_seg.benchmark.run.protocol import choice
from davpt_seg.errors import InputError
from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.experiments.option_values import parsed_options
from davpt_seg.experiments.options import put_options

from .conftest import Bench

STUDY = "w/vtab/dtd/vitb_in21k/e2vpt"
SHARES = [(0.5, 0.25), (0.5, 0.5), (0.75, 0.25), (0.75, 0.5)]


def plan(folder: Path, **method: Any) -> tuple[str]:
    """Write a plan, and return its path."""
    own = dict(importance={}, prompts=6, grid=dict(prompt_share=[0.5, 0.75], segment_share=[0.25, 0.5]), **method)
    content = dict(tasks=["vtab/dtd"], trunks=["vitb_in21k"], methods=[dict(e2vpt=own)], seeds=2)
    (folder / "plan.yaml").write_text(json.dumps(content))
    return (str(folder / "plan.yaml"),)


def kept(line: str) -> list[str]:
    return re.findall("'([01]+)'", line)


def test_importance_is_measured_once_and_shares_are_searched_with_what_stays(bench: Bench) -> None:
    what = plan(bench.folder)
    assert bench.run("w", what=what) == 0
    whole, *search = bench.started()[:5]
    assert not kept(whole) and "split=choose" in whole and "seed=100" in whole and "share" not in whole
    for line, (prompts, segments) in zip(search, SHARES):
        assert "split=choose" in line and "share" not in line
        rows = kept(line)
        assert len(rows) == round(6 * (1 - prompts))
        assert [row.count("1") for row in rows] == [4 - round(4 * segments)] * len(rows)
        assert f"'num_prompts': [0, {len(rows)}]" in line  # a block without prompts remains without
    finals = bench.started()[5:]
    chosen = json.loads((bench.folder / STUDY / "chosen.json").read_text())["parameters"]
    best = SHARES.index((chosen["prompt_share"], chosen["segment_share"]))
    assert ["split=final" in line and kept(line) == kept(search[best]) for line in finals] == [True, True]

    table = bench.table("w")
    assert bench.run("w", what=what) == 0
    assert len(bench.started()) == 7
    assert bench.table("w") == table


def test_the_table_has_all_prompts_and_every_share(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("w", what=plan(bench.folder)) == 0
    table = (bench.folder / "w/table.md").read_text()
    rows = [line.split(" | ") for line in table.partition("e2vpt: removed")[2].splitlines() if line.startswith("| ")]
    assert [row[0].removesuffix(" (chosen)") for row in rows[1:]] == [
        "| nothing",
        *(f"| prompt_share={prompts} segment_share={segments}" for prompts, segments in SHARES),
    ]
    scores = [float(row[2].rstrip(" |")) for row in rows[1:]]
    assert [row[0].endswith("(chosen)") for row in rows[2:]] == [score == max(scores[1:]) for score in scores[1:]]


def test_a_search_without_test_stops_at_the_choice_and_the_test_follows(bench: Bench) -> None:
    what = plan(bench.folder)
    assert bench.run("w", "--search-only", what=what) == 0
    assert ["split=final" in line for line in bench.started()] == [False] * 5
    assert "(chosen)" in (bench.folder / "w/table.md").read_text()
    assert bench.run("w", what=what) == 0
    assert ["split=final" in line for line in bench.started()[5:]] == [True] * 2
    with pytest.raises(SystemExit):
        bench.run("w", what=plan(bench.folder, key_value_prompts=3))


def test_a_failed_measurement_starts_no_search(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "split=choose")
    assert bench.run("w", what=plan(bench.folder)) == 1
    assert len(bench.started()) == 1
    monkeypatch.delenv("FAKE_FAIL")
    assert bench.run("w", what=plan(bench.folder)) == 0
    assert len(bench.started()) == 8


def test_other_importances_after_the_choice_are_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("w", "--search-only", what=plan(bench.folder)) == 0
    file = bench.folder / STUDY / "whole/importance.json"
    content = json.loads(file.read_text())
    file.write_text(json.dumps({**content, "prompts": content["prompts"][::-1]}))
    with pytest.raises(SystemExit):
        bench.run("w", what=plan(bench.folder))
    assert "holds a run of" in capsys.readouterr().err


def test_a_moved_work_dir_resumes(bench: Bench) -> None:
    assert bench.run("w", "--search-only", what=plan(bench.folder)) == 0
    (bench.folder / "w").rename(bench.folder / "v")
    assert bench.run("v", what=plan(bench.folder)) == 0
    assert len(bench.started()) == 7


def test_of_equal_scores_the_smaller_one_is_chosen() -> None:
    trials = [Trial(0, dict(prompt_share=0.1), 50.0), Trial(1, dict(prompt_share=0.9), 50.0), Trial(2, {}, 40.0)]
    assert choice(trials, lambda trial: [30, 10, 5][trial.number])["parameters"] == dict(prompt_share=0.9)
    assert choice(trials)["parameters"] == dict(prompt_share=0.1)


@pytest.mark.parametrize("seed", range(4))
def test_a_run_has_the_prompts_that_the_words_of_an_experiment_give(seed: int, tmp_path: Path) -> None:
    random = Random(seed)
    count, segments = random.randint(3, 9), random.choice([2, 4, 16])
    values = [[random.random() for _ in range(segments)] for _ in range(count)]
    content = dict(prompts=[random.random() for _ in values], segments=values, about=dict(num_prompts=[count] * 12))
    file = tmp_path / "importance.json"
    file.write_text(json.dumps(content))
    words = f"method=e2vpt,trunk=vits14,data=vtab/dtd,prompts={count}"
    shares: dict[str, Any] = dict(
        prompt_share=random.choice([0, 0.5, 0.6]), segment_share=random.choice([0, 0.25, 0.5])
    )
    shares["rank_by"] = random.choice(["masks", "segments"])
    of_words = ",".join(f"{name}={value}" for name, value in shares.items())
    expected = compose_from_words(f"{words},importance={file},{of_words}").model.backbone.prompts
    cfg = compose_from_words(words)
    put_options(cfg, parsed_options([stay(file, shares)]))
    prompts = cfg.model.backbone.prompts
    assert (prompts.pop("num_prompts"), prompts) == ([expected.pop("num_prompts")] * 12, expected)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (dict(importance=None), r"prompt_share needs importances; add importance: \{\}"),
        (dict(importance=dict(prompt_share=0.5)), "importance: remove prompt_share; that run has all prompts"),
        (dict(importance=dict(prompts=3)), "prompts must be the same in the run that measures importance and in"),
        (dict(grid=dict(prompt_share=[0.5], prompts=[3, 6]), importance=dict(prompts=6)), "prompts must be the same"),
        (dict(importance=dict(rank_by="segments")), "importance: remove rank_by"),
        (dict(grid=dict(prompt_share=[0.5], lr=[0.1, 1])), "importance: lr is searched, .*needs a value"),
        (dict(grid={}, lr=1), "has importance, but neither prompt_share nor segment_share"),
    ],
)
def test_plans_that_do_not_prune_as_they_say_are_refused(method: dict[str, Any], message: str) -> None:
    own = dict(importance={}, grid=dict(prompt_share=[0.5]), **{"method": "e2vpt"}) | method
    with pytest.raises(InputError, match=message):
        plan_of(dict(tasks=["vtab/dtd"], trunks=["vitb_in21k"], methods=[dict(mine=own)]))
