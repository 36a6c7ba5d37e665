"""What the protocol promises: chosen on validation images, written down, then tested once."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from pathlib import Path

import pytest

from davpt_seg.benchmark.plan.space import Trial
from davpt_seg.benchmark.run.protocol import choice
from davpt_seg.runs.attempts import last_attempt

from .conftest import RUNS, SMALL, Bench, wait_until
from .fake_train import EPOCHS, score


def test_each_study_is_searched_on_validation_images_then_tested_once_per_seed(bench: Bench) -> None:
    assert bench.run("w") == 0
    started = bench.started()
    assert len(started) == len(set(started)) == RUNS
    for task in ("vtab/dtd", "vtab/svhn"):
        for method in ("linear", "davpt"):
            mine = [line for line in started if f"method={method},trunk=vitb_in21k,data={task}," in line]
            splits = [re.search(r"split=(\w+)", line)[1] for line in mine]
            assert splits == ["choose", "choose", "final", "final"]
            assert ["seed=100" in line for line in mine] == [True, True, False, False]
            assert all("lr=0.01" in line for line in mine[2:])  # where the stand-in is best
    chosen = (bench.folder / "w/vtab/dtd/vitb_in21k/davpt/chosen.json").stat().st_mtime_ns
    finals = (bench.folder / "w/vtab/dtd/vitb_in21k/davpt/final").glob("*/run.json")
    assert all(chosen < run.stat().st_mtime_ns for run in finals)


def test_segmentation_keeps_to_the_same_protocol_and_is_scored_by_miou(bench: Bench) -> None:
    what = (
        *("--tasks", "camvid_crop112", "--trunks", "vits14", "--methods", "linear", "davpt", "--seeds", "1"),
        *("--grid", "lr=1e-3,1e-2", "--set", "head=linear", "schedule=adamw_400i", "iters=200"),
    )
    assert bench.run("w", what=what) == 0
    assert ["split=choose" in line for line in bench.started()] == 2 * [True, True, False]
    found = json.loads((bench.folder / "w/camvid_crop112/vits14/davpt/final/seed=0/result.json").read_text())
    words = "method=davpt,trunk=vits14,data=camvid_crop112,split=final,head=linear,schedule=adamw_400i,iters=200"
    assert found["score"] == pytest.approx(score(f"{words},lr=0.01 randomness.seed=0"))
    assert (found["seconds_per_iteration"], found["seconds_per_epoch"], found["ms_per_image"]) == (0.2, None, 10.0)
    assert b"| seconds per iteration | 0.200 | 0.200 |" in bench.table("w")


def test_what_is_done_is_never_done_again(bench: Bench) -> None:
    assert bench.run("w") == 0
    before, table = bench.started(), bench.table("w")
    assert bench.run("w", "--jobs", "2") == 0
    assert bench.started() == before
    assert bench.table("w") == table


def test_more_seeds_run_those_alone_and_stay_in_the_table(bench: Bench) -> None:
    assert bench.run("w") == 0
    assert bench.run("w", "--seeds", "0", "1", "2") == 0
    assert [line for line in bench.started()[RUNS:] if "randomness.seed=2 " not in line] == []
    assert len(bench.started()) == RUNS + 4
    table = bench.table("w")
    assert bench.run("w", "--report") == 0  # of a plan with two seeds
    assert bench.table("w") == table
    assert bench.run("w", "--seeds", "7", "8", "9", "--report") == 0  # none of which was run
    assert b"(3 of 6)" in bench.table("w")


@pytest.mark.parametrize("whole_group", [True, False], ids=["and its training", "alone"])
def test_a_benchmark_killed_in_the_middle_of_a_grid_ends_as_an_uninterrupted_one(
    bench: Bench, whole_group: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("whole") == 0
    bench.diary.unlink()
    victim = bench.start(bench.arguments("killed"), FAKE_SECONDS="0.4")
    folder = bench.folder / "killed/vtab/dtd/vitb_in21k/linear/search/lr=0.01"
    wait_until(lambda: (folder / "last_checkpoint").is_file())  # the second trial is in its second epoch
    victim.kill()
    victim.join()
    if whole_group:
        os.kill(last_attempt(folder).pid, signal.SIGKILL)
    else:  # a training that outlived its command can't be doubled: nothing starts before it ends
        with pytest.raises(SystemExit, match="2"):
            bench.run("killed")
        assert f"was killed: process {last_attempt(folder).pid}. Wait until" in capsys.readouterr().err
        assert bench.run("killed", "--dry-run") == 0
        assert "running  vtab/dtd/vitb_in21k/linear/search/lr=0.01" in capsys.readouterr().out
    wait_until(lambda: last_attempt(folder).state() == "stopped")
    assert bench.run("killed") == 0
    assert bench.table("killed") == bench.table("whole")
    resumed = [line for line in bench.started() if line == bench.started()[1]]
    assert len(resumed) == (2 if whole_group else 1)  # what outlived its command is not run again
    trained = "".join(path.read_text() for path in sorted(folder.glob("attempts/*.log"))).count("Epoch(train)")
    assert trained in ((EPOCHS, EPOCHS + 1) if whole_group else (EPOCHS,))  # the epoch it was killed in may count twice


def test_a_plan_that_changed_after_its_final_runs_is_refused(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("w") == 0
    before = bench.started()
    for change in (("--grid", "lr=1e-3,1e-1"), ("--set", "epochs=5"), ("--amp",)):
        for mode in ((), ("--dry-run",), ("--report",)):
            with pytest.raises(SystemExit, match="2"):
                bench.run("w", *change, *mode)
            error = capsys.readouterr().err
            assert "vtab/dtd/vitb_in21k/linear: the plan changed after its final runs had begun" in error
            assert "Give the changed plan another --work-dir" in error
    assert bench.started() == before


def test_a_choice_that_changed_after_its_final_runs_is_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("w") == 0
    before = bench.started()
    chosen = bench.folder / "w/vtab/dtd/vitb_in21k/linear/chosen.json"
    content = json.loads(chosen.read_text())
    chosen.write_text(json.dumps({**content, "parameters": {"lr": 0.001}}))
    for mode in (("--seeds", "3"), ("--report",)):
        with pytest.raises(SystemExit, match="2"):
            bench.run("w", *mode)
        assert f"{chosen.parent}/final/seed=0 holds a run of" in capsys.readouterr().err
    chosen.unlink()  # then the same choice is made again
    assert bench.run("w") == 0
    assert bench.started() == before


LINEAR = ("--tasks", "vtab/dtd", "--trunks", "vitb_in21k", "--methods", "linear", "--seeds", "1")


def test_a_grid_is_tried_in_order_each_point_once_and_without_optuna(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)  # an import of it would raise
    grid = ("--grid", "lr=0.1,0.01,0.001", "weight_decay=0,1")
    assert bench.run("w", *grid, "--dry-run", what=LINEAR) == 0
    assert bench.run("w", *grid, what=LINEAR) == 0
    tried = [re.search(r"lr=([\d.]+),weight_decay=(\d)", line).groups() for line in bench.started()]
    assert tried[:-1] == [(lr, decay) for lr in ("0.1", "0.01", "0.001") for decay in ("0", "1")]
    study = bench.folder / "w/vtab/dtd/vitb_in21k/linear"
    trials = json.loads((study / "chosen.json").read_text())["trials"]
    assert [trial["number"] for trial in trials] == list(range(6))
    assert all(trial["score"] for trial in trials)
    assert bench.run("w", *grid, "--report", what=LINEAR) == 0
    assert not (study / "optuna.journal").exists()


def test_a_grid_of_one_value_is_chosen_without_a_run(bench: Bench) -> None:
    assert bench.run("w", "--grid", "lr=0.002", "weight_decay=0", what=LINEAR) == 0
    (line,) = bench.started()
    assert "split=final,lr=0.002,weight_decay=0 " in line
    chosen = json.loads((bench.folder / "w/vtab/dtd/vitb_in21k/linear/chosen.json").read_text())
    assert chosen == dict(parameters={"lr": 0.002, "weight_decay": 0}, score=None, trials=[])
    assert "| vtab/dtd | lr=0.002 weight_decay=0 |" in (bench.folder / "w/table.md").read_text()


def test_a_search_by_tpe_that_was_stopped_ends_as_an_uninterrupted_one(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    tpe = ("--grid", "lr=1e-4:1e-1", "--sampler", "tpe", "--trials", "13")
    assert bench.run("whole", *tpe, what=LINEAR) == 0
    assert len(bench.started()) == 14
    monkeypatch.setenv("FAKE_FAIL", re.search(r"lr=[\d.e-]+", bench.started()[-2])[0])  # the last trial
    assert bench.run("stopped", *tpe, what=LINEAR) == 1
    monkeypatch.delenv("FAKE_FAIL")
    assert bench.run("stopped", *tpe, what=LINEAR) == 0
    whole, stopped = (bench.folder / w / "vtab/dtd/vitb_in21k/linear" for w in ("whole", "stopped"))
    assert (whole / "chosen.json").read_bytes() == (stopped / "chosen.json").read_bytes()
    for name in ("chosen.json", "optuna.journal"):
        (stopped / name).unlink()
    before = len(bench.started())
    assert bench.run("stopped", *tpe, what=(*LINEAR, "--seeds", "2")) == 0
    assert (whole / "chosen.json").read_bytes() == (stopped / "chosen.json").read_bytes()  # from the trials' folders
    (line,) = bench.started()[before:]
    assert "split=final" in line and "randomness.seed=1 " in line


def test_a_method_file_that_changed_does_not_continue_a_study(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    path = bench.folder / "mine.py"
    path.write_text("model = dict()\n")
    plan = bench.folder / "mine.yaml"
    methods = f"[{{mine: {{method: {path}}}}}, {{ours: {{method: bias}}}}]"
    plan.write_text(f"tasks: [vtab/dtd]\ntrunks: [vits14]\nseeds: 1\ngrid: {{}}\nmethods: {methods}\n")
    assert bench.run("w", what=(str(plan),)) == 0
    study = bench.folder / "w/vtab/dtd/vits14/mine/study.json"
    assert "method_files" not in (study.parent.parent / "ours/study.json").read_text()
    made = json.loads(study.read_text())
    assert list(made.pop("method_files")) == [str(path)]
    path.write_text("model = dict(backbone=dict())\n")
    for mode in ((), ("--report",)):
        with pytest.raises(SystemExit, match="2"):
            bench.run("w", *mode, what=(str(plan),))
        assert f"method_files was {{'{path}': " in capsys.readouterr().err
    study.write_text(json.dumps(made))  # as earlier versions wrote it
    chosen = (study.parent / "chosen.json").read_bytes()
    assert bench.run("w", what=(str(plan),)) == 0
    assert "method_files" in study.read_text()
    assert ((study.parent / "chosen.json").read_bytes(), len(bench.started())) == (chosen, 2)


def test_a_grid_may_grow_before_any_final_run(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "lr=0.001")
    assert bench.run("w", "--grid", "lr=1e-3,1e-2", what=LINEAR) == 1  # so nothing is chosen
    monkeypatch.delenv("FAKE_FAIL")
    before = len(bench.started())
    assert bench.run("w", "--grid", "lr=1e-1,1e-2,1e-3", what=LINEAR) == 0
    tried = [re.search(r"lr=([\d.]+)", line)[1] for line in bench.started()[before:] if "split=choose" in line]
    assert tried == ["0.1", "0.001"]  # 0.01 had its score
    chosen = json.loads((bench.folder / "w/vtab/dtd/vitb_in21k/linear/chosen.json").read_text())
    assert [trial["parameters"]["lr"] for trial in chosen["trials"]] == [0.1, 0.01, 0.001]


def test_a_grid_in_another_order_is_the_same_grid(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    grid = ("lr=1e-3,1e-2", "optim_wrapper.optimizer.eps=1e-8,1e-6")
    monkeypatch.setenv("FAKE_FAIL", "eps=1e-06")
    assert bench.run("w", "--grid", *grid, what=LINEAR) == 1  # two of four trials fail, so nothing is chosen
    monkeypatch.delenv("FAKE_FAIL")
    before = bench.started()
    capsys.readouterr()
    assert bench.run("w", "--grid", *reversed(grid), "--dry-run", what=LINEAR) == 0
    assert "5 runs: 2 finished, 2 failed, 1 to do" in capsys.readouterr().out
    assert bench.run("w", "--grid", *reversed(grid), what=LINEAR) == 0
    assert bench.run("w", "--grid", *grid, what=LINEAR) == 0
    assert bench.run("w", "--grid", *reversed(grid), what=LINEAR) == 0
    after = bench.started()[len(before) :]
    assert ["split=final" in line for line in after] == [False, False, True]
    assert set(after[:2]) < set(before)  # the trials that failed


def test_trials_of_other_words_are_not_taken_for_the_plans(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAIL", "lr=0.001")
    assert bench.run("w") == 1
    with pytest.raises(SystemExit, match="2"):
        bench.run("w", "--set", "epochs=7")


def test_words_in_another_order_are_the_same_plan(bench: Bench) -> None:
    assert bench.run("w", "--set", "epochs=7", "batch_size=4") == 0
    before = bench.started()
    assert bench.run("w", "--set", "batch_size=4", "epochs=7") == 0
    assert bench.started() == before


def test_without_anything_to_search_only_final_runs_are_made(bench: Bench) -> None:
    assert bench.run("w", "--set", "lr=0.002", what=SMALL[:7] + ("--seeds", "3")) == 0
    assert len(bench.started()) == 6
    assert all("split=final,lr=0.002" in line for line in bench.started())


def test_the_best_trial_is_chosen_and_of_equals_the_first_in_the_grid() -> None:
    trials = [Trial(0, {"lr": 1.0}, 70.0), Trial(1, {"lr": 2.0}, 80.0), Trial(2, {"lr": 3.0}, 80.0)]
    assert choice(trials) == choice(trials[::-1])
    assert choice(trials)["parameters"] == {"lr": 2.0}
    assert choice([Trial(0, {"lr": 1.0}, 0.0), Trial(1, {"lr": 2.0}, 0.0)])["parameters"] == {"lr": 1.0}


def test_the_table_holds_the_final_runs_and_not_the_searchs(bench: Bench) -> None:
    assert bench.run("w") == 0
    words = "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=final,lr=0.01 randomness.seed={}"
    mean = sum(score(words.format(seed)) for seed in (0, 1)) / 2
    row = (bench.folder / "w/table.csv").read_text().splitlines()[1].split(",")
    assert row[:4] == ["vitb_in21k", "linear", "vtab", "vtab/dtd"]
    assert float(row[4]) == pytest.approx(mean)


def test_a_folder_with_another_run_stops_the_benchmark(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    other = Path(bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.001/run.json")
    other.parent.mkdir(parents=True)
    other.write_text('{"words": "split=final"}')
    assert bench.run("w") == 2
    assert "holds a run of {'words': 'split=final'}" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", [dict(split="test"), dict(seed=0), dict(config="method=full")])
def test_scores_that_a_trial_must_not_have_stop_the_benchmark(
    bench: Bench, capsys: pytest.CaptureFixture[str], wrong: dict[str, object]
) -> None:
    words = "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=choose,lr=0.001"
    about = dict(config=words, seed=100, split="val200", trained_in_backbone=0, trained=1)
    scores = bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.001/scores.json"
    scores.parent.mkdir(parents=True)
    scores.write_text(json.dumps({"accuracy/top1": 99.0, "about": {**about, **wrong}}))
    assert bench.run("w") == 2
    assert f"{scores} is of" in capsys.readouterr().err
    scores.write_text(json.dumps({"accuracy/top1": 99.0, "about": about}))  # what an orphan left
    assert bench.run("w") == 0
    assert not any(f"{words} " in line for line in bench.started())


@pytest.mark.parametrize("content", ["[]", '{"x": 1}', "\0"])
@pytest.mark.parametrize("name", ["chosen.json", "study.json", "final/seed=0/result.json", "final/seed=0/run.json"])
def test_a_damaged_file_of_the_work_dir_is_made_again_or_refused(
    bench: Bench, name: str, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bench.run("w", what=LINEAR) == 0
    table = bench.table("w")
    (bench.folder / "w/vtab/dtd/vitb_in21k/linear" / name).write_text(content)
    if content.startswith("{") and name.endswith(("study.json", "run.json")):  # of another study, another run
        with pytest.raises(SystemExit, match="2"):
            bench.run("w", what=LINEAR)
        assert "another --work-dir" in capsys.readouterr().err
        return
    for mode in ((), ("--report",), ("--dry-run",)):
        assert bench.run("w", *mode, what=LINEAR) == 0
    assert bench.table("w") == table


def test_scores_of_another_program_that_lack_what_they_are_of_are_refused(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    program = bench.folder / "program.py"
    program.write_text("import sys; open(sys.argv[sys.argv.index('--test') + 1], 'w').write('{\"accuracy/top1\": 80}')")
    bench.command = f"{sys.executable} -S {program}"
    assert bench.run("w", what=LINEAR) == 2
    assert "scores.json needs 'about', a mapping with config, seed" in capsys.readouterr().err


def test_a_work_dir_that_cannot_be_written_ends_the_command_with_a_message(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    (bench.folder / "w/vtab/dtd/vitb_in21k/linear").mkdir(parents=True)
    (bench.folder / "w/vtab/dtd/vitb_in21k/linear/search").touch()
    assert bench.run("w", what=LINEAR) == 2
    assert re.search(r"error: \[Errno \d+\] .*/linear/search", capsys.readouterr().err)
