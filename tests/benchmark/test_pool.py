"""Runs on one machine: failures, interruptions, GPUs, checkpoints, wrong options."""

from __future__ import annotations

import json
import os
import signal
import sys
import time

import pytest

from davpt_seg.benchmark.command import main_benchmark
from davpt_seg.errors import DIVERGED
from davpt_seg.runs.attempts import last_attempt
from davpt_seg.runs.lock import owner

from .conftest import RUNS, SMALL, Bench, wait_until


def test_a_failed_run_stops_no_other_and_is_tried_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_FAIL", "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=choose,lr=0.01")
    assert bench.run("w", "--jobs", "2") == 1
    said = capsys.readouterr()
    folder = bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.01"
    assert f"linear/search/lr=0.01: FAILED. Its log, {folder}/attempts/001.log, ends with" in said.out
    assert "    RuntimeError: out of luck" in said.out
    assert "1 runs failed" in said.err
    assert len(bench.started()) == RUNS - 2  # its study has no choice, and so no final runs
    assert "| vtab/dtd | - | " in said.out
    monkeypatch.delenv("FAKE_FAIL")
    assert bench.run("w") == 0
    assert len(bench.started()) == RUNS - 2 + 3


def test_a_trial_that_diverges_is_never_chosen_and_not_run_again(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_STATUS", str(DIVERGED))
    monkeypatch.setenv("FAKE_FAIL", "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=choose,lr=0.01")
    assert bench.run("w") == 0
    assert "linear/search/lr=0.01: diverged, and counts as a score of 0" in capsys.readouterr().out
    chosen = json.loads((bench.folder / "w/vtab/dtd/vitb_in21k/linear/chosen.json").read_text())
    assert chosen["parameters"] == {"lr": 0.001} and chosen["score"] > 0
    assert len(bench.started()) == RUNS
    assert bench.run("w") == 0
    assert len(bench.started()) == RUNS


def test_a_study_whose_trials_all_diverge_chooses_nothing_and_stops_no_other(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_STATUS", str(DIVERGED))
    monkeypatch.setenv("FAKE_FAIL", "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=choose")
    assert bench.run("w") == 1
    said = capsys.readouterr()
    assert "vtab/dtd/vitb_in21k/linear: every trial diverged or scored 0, so nothing is chosen" in said.err
    assert not (bench.folder / "w/vtab/dtd/vitb_in21k/linear/chosen.json").exists()
    assert len(bench.started()) == RUNS - 2


def test_a_final_run_that_diverges_has_failed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FAKE_STATUS", str(DIVERGED))
    monkeypatch.setenv("FAKE_FAIL", "method=linear,trunk=vitb_in21k,data=vtab/dtd,split=final")
    assert bench.run("w") == 1
    assert "2 runs failed" in capsys.readouterr().err


@pytest.mark.parametrize("sign", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_benchmark_ends_its_trainings_and_goes_on_later(bench: Bench, sign: signal.Signals) -> None:
    if signal.getsignal(sign) == signal.SIG_IGN:
        pytest.skip("ignored here, as by nohup")
    running = bench.start(bench.arguments("w", "--jobs", "2"), FAKE_SECONDS="30")
    wait_until(lambda: len(bench.started()) == 2)
    assert running.pid is not None
    os.kill(running.pid, sign)
    running.join(30)
    said = (bench.folder / "said.txt").read_text()
    assert running.exitcode == 130
    assert said.count("stopped; the same command resumes it") == 2
    assert "Interrupted" in said
    assert bench.run("w") == 0
    assert len(bench.started()) == RUNS + 2


def test_signals_after_the_first_one_do_not_cut_the_ending_short(bench: Bench) -> None:
    program = bench.folder / "program.py"
    program.write_text("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(1); time.sleep(3)")
    bench.command = f"{sys.executable} -S -u {program}"
    victim = bench.start(bench.arguments("w"))
    log = bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.001/attempts/001.log"
    wait_until(lambda: log.is_file() and log.read_text() == "1\n")
    for sign in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
        os.kill(victim.pid, sign)
        time.sleep(0.3)
    victim.join(30)
    assert victim.exitcode == 130
    assert (bench.folder / "w/table.md").is_file()
    assert "Traceback" not in (bench.folder / "said.txt").read_text()
    assert last_attempt(log.parent.parent).ended == "stopped"


def test_an_interrupted_check_of_a_plan_says_so(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("davpt_seg.benchmark.command.check_plan", interrupt)
    with pytest.raises(SystemExit, match="130"):
        bench.run("w")
    assert capsys.readouterr().err == "Interrupted.\n"


def test_a_second_command_is_refused_before_its_plan_is_checked(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("davpt_seg.benchmark.command.check_plan", lambda *_, **__: pytest.fail("checked"))
    with owner(bench.folder / "w"), pytest.raises(SystemExit, match="2"):
        bench.run("w")
    assert f"{bench.folder / 'w'} is in use by another command" in capsys.readouterr().err


def test_data_that_a_plan_of_words_lacks_are_named_by_a_word(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    plan = dict(tasks=["vtab/cifar"], trunks=["vits14"], methods=["bias"])
    with pytest.raises(SystemExit, match="2"):
        main_benchmark(bench.arguments("w", what=()), plan)
    said = capsys.readouterr().err
    assert "no data of vtab/cifar" in said and "or choose others by the word data" in said and "--tasks" not in said


def test_each_training_sees_its_workers_gpu(bench: Bench) -> None:
    assert bench.run("w", "--gpus", "3,5") == 0
    assert {line.rpartition("gpu=")[2] for line in bench.started()} == {"3", "5"}


@pytest.mark.parametrize(("keep", "kept"), [("first", ["seed=0"]), ("all", ["seed=0", "seed=1"]), ("none", [])])
def test_only_the_last_checkpoints_that_were_asked_for_are_kept(bench: Bench, keep: str, kept: list[str]) -> None:
    assert bench.run("w", "--keep-checkpoints", keep, what=(*SMALL[:2], *SMALL[3:])) == 0
    found = sorted((bench.folder / "w/vtab/dtd/vitb_in21k/linear").rglob("*.pth"))
    assert [path.parent.name for path in found] == kept
    assert {path.name for path in found} <= {"epoch_3.pth"}


def test_a_dry_run_lists_runs_and_starts_none(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("w", "--dry-run") == 0
    before = capsys.readouterr().out
    assert before.endswith(f"{RUNS} runs: {RUNS} to do; {RUNS} left\n")
    assert "split=choose,lr=0.001 randomness.seed=100" in before
    assert not (bench.folder / "w").exists()
    bench.run("w", "--tasks", "vtab/dtd", what=SMALL[3:])
    capsys.readouterr()
    bench.run("w", "--dry-run")
    half = RUNS // 2
    assert capsys.readouterr().out.endswith(f"{RUNS} runs: {half} finished, {half} to do; {half} left\n")


def test_lines_tell_score_what_is_left_and_how_long(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    assert bench.run("w") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{RUNS} runs in {bench.folder}/w; {RUNS} of them left to do"
    assert lines[1].startswith(f"[1/{RUNS}] vtab/dtd/vitb_in21k/linear/search/lr=0.001: validation 70.")
    assert f"; {RUNS - 1} left, ETA 0:00:" in lines[1]


def test_a_search_by_tpe_runs_to_its_number_of_trials(bench: Bench) -> None:
    what = ("--tasks", "vtab/dtd", "--trunks", "vits14", "--methods", "bias", "--seeds", "1")
    tpe = ("--grid", "lr=1e-4:1e-1", "--sampler", "tpe", "--trials", "5")
    assert bench.run("w", *tpe, "--jobs", "2", what=what) == 0
    assert ["split=choose" in line for line in bench.started()] == [True] * 5 + [False]
    assert bench.run("w", *tpe, "--dry-run", what=what) == 0


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--work-dir", __file__), "A part of this path is a file; use another folder"),
        (("--command", "/no/such program"), "there is no such program"),
        (("--jobs", "-3"), "at least one run at a time"),
        (("--jobs", "2", "--gpus", "0"), "omit --jobs"),
        (("--threads", "0"), "--threads 0: at least one"),
        (("--slurm=--partition=gpu", "--jobs", "16"), "--slurm was removed: a Ray cluster inside a Slurm job"),
        (("--slurm", "--partition=gpu"), "tools/slurm_benchmark.sh with sbatch"),
        (("--gpus-per-run", "2"), "--gpus-per-run is for --cluster"),
        (("--nodes", "2"), "--nodes is for --cluster"),
        (("--cluster", "here"), "expected auto, ray://HOST:10001, or local:N"),
        (("--cluster", "local:0"), "expected auto, ray://HOST:10001, or local:N"),
        (("--cluster", "local:2", "--gpus", "0,1"), "--gpus-per-run 1"),
        (("--cluster", "local:2", "--nodes", "0"), "--nodes 0: at least one"),
        (("--cluster", "local:2", "--nodes", "2", "--gpus-per-run", "3"), "give a multiple of 2, or 0 to train on CPU"),
        *(
            (("--cluster", "local:2", "--gpus-per-run", share), "an integer, or a share of one GPU")
            for share in ("1.5", "-1", "nan", "inf")
        ),
    ],
)
def test_what_cannot_work_is_said_and_not_shown_as_a_traceback(
    bench: Bench, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        bench.run("w", *arguments)
    assert told in capsys.readouterr().err


def test_help_has_an_example_for_each_way_to_run(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main_benchmark(["--help"])
    text = capsys.readouterr().out
    assert all(each in text for each in ("--gpus 0,1,2,3", "--cluster auto", "--report", "--dry-run"))
