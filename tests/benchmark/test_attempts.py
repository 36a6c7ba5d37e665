"""Claims: one worker at a time, whoever dies, on this host or on another."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from davpt_seg.benchmark.attempts import SILENCE, Attempt, claim, identity, last_attempt
from davpt_seg.benchmark.files import read_json, write_json


def test_of_many_workers_one_gets_the_run(tmp_path: Path) -> None:
    for folder in (tmp_path / str(number) for number in range(20)):
        with ThreadPoolExecutor(8) as threads:
            claims = [threads.submit(claim, folder, "s") for _ in range(8)]
        assert sum(each.result() is not None for each in claims) == 1


def test_a_dead_workers_run_is_free_once_its_training_is_dead_too(tmp_path: Path) -> None:
    worker = subprocess.Popen(["true"])
    training = subprocess.Popen(["sleep", "60"])
    attempt = Attempt(tmp_path / "attempts" / "001.json", "s", [identity(worker.pid)])
    write_json(attempt.path, attempt.content())
    attempt.hold(training.pid)
    worker.wait()
    assert claim(tmp_path, "t") is None
    training.kill()
    assert last_attempt(tmp_path).state() in ("running", "stopped")
    training.wait()
    second = claim(tmp_path, "t")
    assert second.path.name == "002.json"
    assert claim(tmp_path, "t") is None


@pytest.mark.skipif(not Path("/proc/self/stat").is_file(), reason="no /proc")
def test_another_process_of_the_same_number_holds_nothing(tmp_path: Path) -> None:
    write_json(tmp_path / "attempts/001.json", dict(session="s", holders=[{**identity(os.getpid()), "started": "1"}]))
    assert claim(tmp_path, "s") is not None


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("no /proc")
    child = subprocess.Popen(["sleep", "0.1"])
    held = identity(child.pid)
    time.sleep(0.3)  # it ended, and nobody has asked how
    write_json(tmp_path / "attempts/001.json", dict(session="s", holders=[held]))
    assert claim(tmp_path, "s") is not None
    child.wait()


def test_another_hosts_run_is_free_after_a_long_silence(tmp_path: Path) -> None:
    path = tmp_path / "attempts/001.json"
    elsewhere = dict(host=f"not-{socket.gethostname()}", pid=os.getpid(), started="1")
    write_json(path, dict(session="s", holders=[elsewhere]))
    assert claim(tmp_path, "s") is None
    os.utime(path, (time.time() - SILENCE - 1,) * 2)
    beating = last_attempt(tmp_path)
    assert beating.state() == "stopped"
    beating.beat()
    assert claim(tmp_path, "s") is None
    os.utime(path, (time.time() - SILENCE - 1,) * 2)
    assert claim(tmp_path, "s") is not None


def test_a_failed_run_is_tried_again_by_the_next_command_only(tmp_path: Path) -> None:
    claim(tmp_path, "first").end("failed")
    assert claim(tmp_path, "first") is None
    assert claim(tmp_path, "second") is not None


def test_a_file_cut_off_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": ')
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "y.json") is None
    write_json(tmp_path / "x.json", [1])
    assert read_json(tmp_path / "x.json") == [1]
    assert os.listdir(tmp_path) == ["x.json"]  # nothing unfinished is left
