"""Attempts and locks: a folder has one owner, and a log is locked while its training lives."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from davpt_seg.errors import InputError
from davpt_seg.runs import lock
from davpt_seg.runs.attempts import last_attempt, next_attempt
from davpt_seg.runs.json_files import read_json, write_json
from davpt_seg.runs.lock import locked, owner

OWN = "import sys, time; from pathlib import Path; from davpt_seg.runs.lock import owner\n"


def test_attempts_are_numbered_and_the_last_one_is_found(tmp_path: Path) -> None:
    assert last_attempt(tmp_path) is None
    for number in range(1, 12):
        assert next_attempt(tmp_path).path.name == f"{number:03}.json"
    next_attempt(tmp_path).end("failed")
    found = last_attempt(tmp_path)
    assert (found.path.name, found.host, found.pid, found.state()) == ("012.json", socket.gethostname(), None, "failed")


def test_an_attempt_runs_as_long_as_its_training_lives_whoever_started_it(tmp_path: Path) -> None:
    attempt = next_attempt(tmp_path)
    assert last_attempt(tmp_path).state() == "stopped"  # nothing was started
    with attempt.open_log() as log:
        assert last_attempt(tmp_path).state() == "running"
        training = subprocess.Popen(["sleep", "60"], stdout=log)
    assert last_attempt(tmp_path).state() == "running"
    training.kill()
    training.wait()
    assert last_attempt(tmp_path).state() == "stopped"
    assert next_attempt(tmp_path).path.name == "002.json"


def test_attempts_of_older_versions_are_read(tmp_path: Path) -> None:
    held = [dict(host="elsewhere", pid=1, started="1")]
    write_json(tmp_path / "attempts/001.json", dict(session="s", holders=held, ended="failed"))
    assert last_attempt(tmp_path).state() == "failed"
    write_json(tmp_path / "attempts/002.json", dict(session="s", holders=held, ended=None))
    assert last_attempt(tmp_path).state() == "stopped"
    assert next_attempt(tmp_path).path.name == "003.json"


def test_a_training_of_an_older_version_that_still_runs_is_left_alone(tmp_path: Path) -> None:
    held = [dict(host=socket.gethostname(), pid=os.getpid(), started="1")]
    write_json(tmp_path / "attempts/001.json", dict(session="s", holders=held, ended=None))
    with open(tmp_path / "attempts/001.log", "w") as log:
        training = subprocess.Popen(["sleep", "60"], stdout=log)
    try:
        assert last_attempt(tmp_path).state() == "running"
        with pytest.raises(InputError, match=rf"older version, still trains there \(process {training.pid}\)"):
            next_attempt(tmp_path)
    finally:
        training.kill()
        training.wait()
    assert next_attempt(tmp_path).path.name == "002.json"


@pytest.mark.parametrize(
    "content", [b'{"a": ', b"", b"[1]", b"{}", b"null", b"\xff", b"1" * 5000, b"[" * 100_000], ids=lambda c: str(c[:9])
)
def test_a_file_cut_off_or_of_anything_else_than_a_mapping_is_no_file(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    assert read_json(tmp_path / "x.json") is None
    assert read_json(tmp_path / "y.json") is None
    write_json(tmp_path / "x.json", dict(a=[1]))
    assert read_json(tmp_path / "x.json") == dict(a=[1])
    assert os.listdir(tmp_path) == ["x.json"]  # nothing unfinished is left


def test_a_run_whose_attempt_file_was_emptied_can_be_tried_again(tmp_path: Path) -> None:
    (tmp_path / "attempts").mkdir()
    (tmp_path / "attempts" / "001.json").write_text("")  # a disk that was full
    assert last_attempt(tmp_path).state() == "stopped"
    assert next_attempt(tmp_path).path.name == "002.json"


def test_of_two_commands_one_owns_a_folder_and_the_other_says_who_does(tmp_path: Path) -> None:
    code = f"{OWN}with owner(Path(sys.argv[1])):\n    print('owned', flush=True)\n    sys.stdin.read()"
    first = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert first.stdout.readline() == "owned\n"
    assert locked(tmp_path / lock.NAME)
    with (
        pytest.raises(InputError, match=rf"is in use by another command \(process {first.pid} on host "),
        owner(tmp_path),
    ):
        pass
    assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == first.pid  # who was refused wrote nothing
    first.communicate("")
    assert not locked(tmp_path / lock.NAME)
    with owner(tmp_path):
        assert json.loads((tmp_path / lock.NAME).read_text())["pid"] == os.getpid()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="no /proc")
def test_a_training_that_inherited_the_lock_owns_the_folder_after_its_command(tmp_path: Path) -> None:
    code = (
        f"{OWN}import os, subprocess\nwith owner(Path(sys.argv[1])) as lock:\n"
        "    print(subprocess.Popen(['sleep', '60'], pass_fds=[lock], stdout=-3).pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    pid = int(done.stdout)
    told = rf"trainings still run .* was killed: process {pid}\. .* 'kill {pid}'"
    with pytest.raises(InputError, match=told), owner(tmp_path):
        pass
    os.kill(pid, 9)
    end = time.monotonic() + 10
    while locked(tmp_path / lock.NAME):
        assert time.monotonic() < end
        time.sleep(0.01)
    with owner(tmp_path):
        pass


def test_a_look_at_a_lock_that_takes_it_for_an_instant_refuses_nobody(tmp_path: Path) -> None:
    look = subprocess.Popen(["flock", "-s", str(tmp_path / lock.NAME), "sleep", "0.2"])
    while not locked(tmp_path / lock.NAME) and look.poll() is None:
        time.sleep(0.01)
    with owner(tmp_path):
        pass
    look.wait()


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(descriptor: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", none)
    with pytest.raises(InputError, match=r"owner\.lock cannot be locked \(Function not implemented\)"), owner(tmp_path):
        pass


def test_without_locks_of_files_nothing_is_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "fcntl", None)  # as on Windows
    assert not locked(tmp_path / lock.NAME)
    with pytest.raises(InputError, match="use Linux, macOS or WSL"), owner(tmp_path):
        pass
