"""What is printed of the runs in progress: on a terminal, in a file, and by another process that looks at the files."""

from __future__ import annotations

import builtins
import io
import json
import os
import pty
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from davpt_seg.benchmark import listing
from davpt_seg.benchmark.plan.parts import read
from davpt_seg.benchmark.plan.plan import plan_of
from davpt_seg.benchmark.plan.schema import PlanFile
from davpt_seg.benchmark.plan.study import Run
from davpt_seg.benchmark.run import progress, states
from davpt_seg.benchmark.run.progress import Progress
from davpt_seg.benchmark.run.protocol import Protocol
from davpt_seg.runs.attempts import Attempt, next_attempt

from .conftest import RUNS, SMALL, Bench, wait_until

TINY = ("--tasks", "vtab/dtd", "--trunks", "vitb_in21k", "--methods", "linear", *SMALL[8:])
STEP = "11/27 19:31:04 - mmengine - INFO - Iter(train) [{:>3}/100]  lr: 1e-3  eta: 0:0{}:00  time: 1.0  loss: {}\n"


@pytest.fixture
def protocol(tmp_path: Path) -> Protocol:
    plan = dict(tasks=["camvid_crop112"], trunks=["vits14"], methods=["linear"], seeds=2, grid=dict(lr=[1e-3, 1e-2]))
    return Protocol(plan_of(read(PlanFile, plan)).studies[0], tmp_path)


def trials(protocol: Protocol) -> list[tuple[Run, Path]]:
    runs = [protocol.study.search_run(point) for point in protocol.study.space.points()]
    return [(run, protocol.root / run.key) for run in runs]


def log(folder: Path, text: str) -> Attempt:
    attempt = Attempt(folder / "attempts" / "001.json")
    attempt.log.parent.mkdir(parents=True, exist_ok=True)
    attempt.log.write_text(text)
    return attempt


def finish(folder: Path, seconds: float) -> Attempt:
    attempt = log(folder, "done\n")
    (folder / "result.json").write_text(json.dumps(dict(score=50.0, seconds=seconds)))
    return attempt


def shown(console: Console) -> str:
    """What a terminal was sent, without the codes that move its cursor."""
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "")


def terminal(height: int = 30) -> Console:
    return Console(file=io.StringIO(), force_terminal=True, width=100, height=height, _environ={})


def test_a_terminal_has_a_line_for_each_run_in_progress_and_one_for_all(protocol: Protocol) -> None:
    (first, one), (second, two) = trials(protocol)
    with Progress([protocol], 2, console := terminal()) as reported:
        reported.started(first, one)
        log(one, STEP.format(25, 3, "1.2345"))
        reported.started(second, two)  # on another host: no log here
        reported.refresh()
        assert f"{first.key}: iteration 25/100, loss 1.234, ETA 0:0" in shown(console)
        assert f"{second.key}: running\n[0/4] 2 in progress; 4 left, ETA 0:0" in shown(console)
        # The second and its final runs take as long as the first will have: 4 minutes each.
        assert re.search(r"4 left, ETA 0:0(8:00|7:5\d)$", shown(console))
        reported.ended(first, one, finish(one, 60), "finished")
        reported.ended(second, two, finish(two, 60), "failed")
        reported.refresh()
    text = shown(console)
    assert f"[1/4] {first.key}: validation 50.00 after 60 s; 3 left, ETA 0:0" in text
    assert f"{second.key}: FAILED. Its log, {two}/attempts/001.log, ends with\n    done\n" in text
    assert text.rstrip().endswith("[1/4] 0 in progress; 1 failed, 3 left, ETA 0:00:00")  # a failed trial: no final run


def test_trials_of_another_grid_are_not_counted_as_done(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    for values in ("1e-3,1e-2", "2e-3,2e-2"):
        what = ("--tasks", "vtab/dtd", "--trunks", "vitb_in21k", "--methods", "linear", "--grid", f"lr={values}")
        assert bench.run("w", "--search-only", what=what) == 0
        assert capsys.readouterr().out.startswith(f"2 runs in {bench.folder / 'w'}; 2 of them left to do")


def test_a_terminal_too_low_for_all_runs_still_has_the_summary(protocol: Protocol) -> None:
    with Progress([protocol], 2, console := terminal(height=3)) as reported:
        for run, folder in trials(protocol):
            reported.started(run, folder)
        reported.refresh()
    assert "and 2 more\n[0/4] 2 in progress; 4 left, ETA unknown" in shown(console)


def test_a_file_has_a_line_for_each_run_in_progress_every_few_minutes(
    protocol: Protocol, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    (run, folder), _ = trials(protocol)
    reported = Progress([protocol], 1)
    reported.started(run, folder)
    log(folder, STEP.format(50, 1, "nan"))
    reported.refresh()
    assert capsys.readouterr().out == ""
    for _ in range(2):
        now += progress.EVERY
        reported.refresh()
        reported.refresh()
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == 2
        assert lines[0].startswith(f"{run.key}: iteration 50/100, loss nan, ETA ")
        assert lines[1].startswith("[0/4] 1 in progress; 4 left, ETA ")


def test_durations_of_an_earlier_command_count(protocol: Protocol, capsys: pytest.CaptureFixture[str]) -> None:
    (_, one), (second, two) = trials(protocol)
    finish(one, 1000)
    reported = Progress([protocol], 1)
    assert (reported.total, reported.left()) == (4, 3)
    reported.started(second, two)
    reported.ended(second, two, finish(two, 500), "finished")
    assert "2 left, ETA 0:25:00" in capsys.readouterr().out


def test_threads_may_report_at_once(protocol: Protocol, capsys: pytest.CaptureFixture[str]) -> None:
    (run, folder), _ = trials(protocol)
    attempt = log(folder, "")

    def work(n: int) -> None:
        for _ in range(20):
            reported.started(run, folder)
            reported.refresh()
            reported.ended(run, folder, attempt, "stopped" if n % 2 else "failed")

    with Progress([protocol], 8) as reported:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(reported.failed) == 80
    assert capsys.readouterr().out.count("the same command resumes it") == 80


def test_a_benchmark_on_a_terminal_ends_with_its_lines_and_the_table(bench: Bench) -> None:
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "FAKE_SECONDS": "0.02"}
    arguments = [sys.executable, "-m", "davpt_seg", "benchmark", *bench.arguments("w", what=TINY)]
    running = subprocess.Popen(arguments, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while read := os.read(ours, 65536):
            said += read
    except OSError:  # as Linux ends a terminal
        pass
    assert running.wait() == 0
    text = said.decode()
    assert text.count(": validation ") == text.count(": test ") == 2
    assert "\x1b[?25l" in text and text.count("\x1b[?25h")  # the cursor is hidden, and back
    assert "Files: " in text.rpartition("[4/4]")[2]


def test_another_process_sees_what_is_in_progress(bench: Bench, capsys: pytest.CaptureFixture[str]) -> None:
    running = bench.start(bench.arguments("w", "--jobs", "2"), FAKE_SECONDS="60")
    wait_until(lambda: len(bench.started()) == 2)
    first = bench.folder / "w/vtab/dtd/vitb_in21k/linear/search/lr=0.001"
    log(first, "Epoch(train)  [3][ 5/25]  lr: 1e-3  eta: 0:05:00  time: 1.0  loss: 1.5\n")
    try:
        for option, lead in (("--dry-run", "running  "), ("--report", "running  ")):
            assert bench.run("w", option) == 0
            said = capsys.readouterr().out
            lines = [line for line in said.splitlines() if line.startswith(lead)]
            assert len(lines) == 2
            assert re.search(r"search/lr=0\.001: method=linear.*\(epoch 3, loss 1\.5, ETA 0:0[45]:\d\d\)$", lines[0])
            assert "search/lr=0.01: method=linear" in lines[1] and not lines[1].endswith(")")
        bench.run("w", "--dry-run")
        assert f"{RUNS} runs: 2 running, {RUNS - 2} to do; {RUNS} left\n" in capsys.readouterr().out
    finally:
        assert running.pid is not None
        os.kill(running.pid, 15)
        running.join(30)


def big(folder: Path, trials: int) -> list[Protocol]:
    """A plan of 4 studies with many trials, half of them done."""
    plan = dict(
        tasks=["camvid_crop112"],
        trunks=["vits14"],
        methods=["linear", "bias", "lora", "ssf"],
        seeds=2,
        grid=dict(lr=[1e-4 * n for n in range(1, trials + 1)]),
    )
    protocols = [Protocol(study, folder) for study in plan_of(read(PlanFile, plan)).studies]
    for protocol in protocols:
        for run in [protocol.study.search_run(point) for point in protocol.study.space.points()][::2]:
            next_attempt(folder / run.key).end("failed")
    return protocols


def test_a_dry_run_reads_each_folder_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    protocols = big(tmp_path, 10)
    opened: Counter[str] = Counter()
    monkeypatch.setattr("io.open", counting(opened, io.open))
    monkeypatch.setattr(builtins, "open", counting(opened, builtins.open))
    listed = list(listing.lines(protocols))
    assert listed[-1] == "48 runs: 20 failed, 28 to do; 48 left"
    assert max(opened.values()) == 1 and len(opened) == 4 * (1 + 10 + 5)  # choice; results; attempts of half of them


def test_a_run_that_ends_makes_no_other_folder_be_read(
    protocol: Protocol, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (_, one), (second, two) = trials(protocol)
    finish(one, 10)
    reported = Progress([protocol], 1)
    reported.started(second, two)
    attempt = finish(two, 20)
    opened: Counter[str] = Counter()
    monkeypatch.setattr("io.open", counting(opened, io.open))
    reported.ended(second, two, attempt, "finished")
    assert opened == {str(two / "result.json"): 1}
    assert "2 left, ETA 0:00:30" in capsys.readouterr().out


def counting(opened: Counter[str], function: Callable[..., object]) -> Callable[..., object]:
    def count(file: object, *args: object, **kwargs: object) -> object:
        opened[str(file)] += 1
        return function(file, *args, **kwargs)

    return count


def test_a_dry_run_gives_each_line_before_it_reads_the_next_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(states, "result", looked.append)
    lines = listing.lines(big(tmp_path, 10))
    for n in range(1, 4):
        next(lines)
        assert len(looked) == n


def test_a_dry_run_may_be_cut_by_head(bench: Bench) -> None:
    grid = "lr=" + ",".join(str(n) for n in range(1, 2000))  # more than a pipe holds
    arguments = [sys.executable, "-m", "davpt_seg", "benchmark", *bench.arguments("w", "--grid", grid, "--dry-run")]
    running = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert running.stdout is not None and running.stderr is not None
    assert running.stdout.readline().startswith(b"to do    vtab/dtd/vitb_in21k/linear/search/lr=1: ")
    running.stdout.close()
    assert running.stderr.read() == b""
    assert running.wait() == 1
