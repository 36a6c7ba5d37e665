"""Ctrl-C, SIGTERM and a closed terminal end a training with a checkpoint; one training at a time owns a work dir."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import socket
import subprocess
import sys
import termios
from contextlib import redirect_stderr
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, Optional

import pytest
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from davpt_seg.commands.train import _resuming, main_train
from davpt_seg.engine.interruption_hook import KEY
from davpt_seg.runs import lock
from davpt_seg.training import build_training

from ..core.guidance.test_gather import in_processes
from ..scenes import write_camvid
from ..training import by_iterations, config_file, tiny_camvid
from .test_resume import differences


@HOOKS.register_module()
class SendSignal(Hook):
    """Hook that sends a signal to this process in an iteration of training or validation."""

    def __init__(self, signum: int, iteration: int = 0, validates: bool = False, rank: int = 0) -> None:
        self.signum, self.iteration, self.validates, self.rank = signum, iteration, validates, rank

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if runner.iter + 1 == self.iteration and get_rank() == self.rank:
            os.kill(os.getpid(), self.signum)

    def before_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        if self.validates:
            os.kill(os.getpid(), self.signum)


@HOOKS.register_module()
class LoseWorkers(Hook):
    """Hook that ends as a data loader does whose workers SIGTERM ended, before the first batch."""

    def before_train_epoch(self, runner: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid(s) 1, 2) exited unexpectedly")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_camvid(tmp_path_factory.mktemp("camvid"))


def experiment(data: Path, work_dir: Path, loop: str) -> Any:
    """Return a training of six iterations, with checkpoints at 3 and 6; by epochs, of three iterations each."""
    cfg = tiny_camvid(data, work_dir)
    if loop == "iterations":
        cfg = by_iterations(cfg, 6)
        cfg.default_hooks.checkpoint.update(interval=3)
    else:
        cfg.train_cfg.max_epochs = 2
    cfg.default_hooks.checkpoint.update(save_best=None, max_keep_ckpts=1)
    return cfg


def run(cfg: Any, path: Path, *options: str) -> object:
    """Train a config file and return the exit status."""
    try:
        main_train([config_file(cfg, path), *options])
    except SystemExit as end:
        return end.code
    return 0


def trained(folder: Path) -> list[Any]:
    content = torch.load((folder / "last_checkpoint").read_text(), weights_only=True)
    return [content["state_dict"], content["optimizer"], content["meta"]["iter"]]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.pth")}


@pytest.mark.parametrize("loop", ["iterations", "epochs"])
def test_an_interrupted_training_resumes_as_if_it_had_not_been(
    loop: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(experiment(data, tmp_path / "a", loop), tmp_path / "a.py") == 0
    for number, (iteration, signum) in enumerate([(2, signal.SIGINT), (4, signal.SIGTERM), (5, signal.SIGHUP)]):
        cfg = experiment(data, tmp_path / "b", loop)
        cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signum), iteration=iteration))
        capsys.readouterr()
        assert run(cfg, tmp_path / f"b{number}.py", "--resume") == 128 + signum
        last = capsys.readouterr().err.splitlines()[-1]
        checkpoint = tmp_path / "b" / f"iter_{iteration}.pth"
        assert last.startswith(f"Interrupted after iteration {iteration} of 6. Checkpoint: {checkpoint}. Resume: ")
        assert last.endswith(f"b{number}.py --resume")
        assert (tmp_path / "b" / "last_checkpoint").read_text() == str(checkpoint)
    assert names(tmp_path / "b") == {"iter_5.pth", "iter_3.pth" if loop == "iterations" else "epoch_1.pth"}
    assert run(experiment(data, tmp_path / "b", loop), tmp_path / "end.py", "--resume") == 0
    assert not differences(trained(tmp_path / "a"), trained(tmp_path / "b"))
    assert names(tmp_path / "b") == names(tmp_path / "a")


def test_a_signal_in_the_iteration_of_a_checkpoint_writes_no_second_one(data: Path, tmp_path: Path) -> None:
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGINT), iteration=3))
    assert run(cfg, tmp_path / "c.py") == 130
    assert names(tmp_path / "w") == {"iter_3.pth"}
    saved = torch.load(tmp_path / "w" / "iter_3.pth", weights_only=True)
    assert KEY not in saved["message_hub"]["runtime_info"]


def test_a_signal_in_the_validation_names_the_checkpoint_before_it(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.train_cfg.val_interval = 3
    cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGINT), validates=True))
    assert run(cfg, tmp_path / "c.py") == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert re.match(r"Interrupted in the validation after iteration 3. Checkpoint: \S+/iter_3.pth. Resume: ", said)


def test_nohup_keeps_a_training_alive(data: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        cfg = experiment(data, tmp_path / "w", "iterations")
        cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGHUP), iteration=2))
        assert run(cfg, tmp_path / "c.py") == 0
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_training_whose_terminal_is_closed_saves_a_checkpoint(data: Path, tmp_path: Path) -> None:
    cfg = by_iterations(experiment(data, tmp_path / "w", "iterations"), 100_000)
    command = [sys.executable, "-m", "davpt_seg", "train", config_file(cfg, tmp_path / "c.py")]
    here, terminal = pty.openpty()
    process = subprocess.Popen(
        command, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True, preexec_fn=controlling
    )
    os.close(terminal)
    shown = b""
    while b"iteration 10/" not in shown and b"Iter(train) [    10/" not in shown:
        shown += os.read(here, 10_000)
    os.close(here)
    assert process.wait(60) == 128 + signal.SIGHUP
    checkpoint = Path((tmp_path / "w" / "last_checkpoint").read_text())
    assert checkpoint.name.startswith("iter_")
    assert torch.load(checkpoint, weights_only=True)["meta"]["iter"] >= 10


def controlling() -> None:
    """Make a process's input its controlling terminal, whose end is SIGHUP."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_handlers_of_signals_are_given_back(data: Path, tmp_path: Path) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGTERM), iteration=1))
    assert run(cfg, tmp_path / "c.py") == 143
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("given", "resumed", "resumes"),
    [
        (["c.py"], None, ["c.py", "--resume"]),
        (["c.py", "--resume"], "auto", ["c.py", "--resume"]),
        (["c.py", "--resume", "a b.pth", "--amp"], "a b.pth", ["c.py", "--amp", "--resume"]),
        (["--resume", "w/last", "c.py"], "w/last", ["train", "c.py", "--resume"]),
        (["--resume", "--amp", "c.py"], "auto", ["train", "--amp", "c.py", "--resume"]),
        (["c.py", "--resume=x.pth"], "x.pth", ["c.py", "--resume"]),
    ],
)
def test_the_command_that_resumes_has_the_arguments_of_the_first(
    given: list[str], resumed: Optional[str], resumes: list[str]
) -> None:
    assert _resuming(given, resumed).split()[-len(resumes) :] == resumes


def test_no_resuming_command_is_printed_that_would_be_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.default_hooks.checkpoint.update(save_optimizer=False)
    cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGINT), iteration=2))
    assert run(cfg, tmp_path / "c.py") == 130
    last = capsys.readouterr().err.splitlines()[-1]
    assert "iter_2.pth. It cannot be resumed, for it holds no optimizer" in last
    assert "--resume" not in last


def test_a_second_training_in_a_work_dir_is_refused_and_changes_nothing(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cfg = experiment(data, tmp_path / "w", "iterations")
    with lock.owner(tmp_path / "w"):
        before = {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*")}
        assert run(cfg, tmp_path / "c.py") == 2
        assert {path: path.stat().st_mtime_ns for path in (tmp_path / "w").rglob("*")} == before
    said = capsys.readouterr().err
    who = f"process {os.getpid()} on host {socket.gethostname()}"
    assert f"{tmp_path / 'w'} is in use by another command ({who}" in said
    assert said.count("\n") == 1
    assert json.loads((tmp_path / "w" / lock.NAME).read_text())["pid"] == os.getpid()
    assert run(cfg, tmp_path / "c.py") == 0  # a lock ends with its process or block


def test_a_work_dir_without_locks_is_trained_in_with_a_warning(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    assert run(experiment(data, tmp_path / "w", "iterations"), tmp_path / "c.py") == 0
    assert "cannot be locked (Function not implemented)" in caplog.text


def one_of_two(rank: int, config: str) -> tuple[object, list[str]]:
    """Train in one of two processes; return the exit status and what it says of its end."""
    connected = dict(MASTER_ADDR="localhost", MASTER_PORT="1")  # already, so that these are not used
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE="2", **connected)
    status: object = 0
    with redirect_stderr(StringIO()) as said:
        try:
            main_train([config, "--launcher", "pytorch"])
        except SystemExit as end:
            status = end.code
    return status, [line for line in said.getvalue().splitlines() if line.startswith("Interrupted")]


def test_two_processes_end_at_the_same_iteration_if_one_is_asked_to(data: Path, tmp_path: Path) -> None:
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.custom_hooks.append(dict(type="SendSignal", signum=int(signal.SIGTERM), iteration=2, rank=1))
    config = config_file(cfg, tmp_path / "c.py")
    found = in_processes(partial(one_of_two, config=config), tmp_path, number=2, start_method="forkserver")
    checkpoint = tmp_path / "w" / "iter_2.pth"
    said = f"Interrupted after iteration 2 of 6. Checkpoint: {checkpoint}. Resume: the command that started it, with "
    assert found == [(143, [f"{said}--resume"]), (143, [])]
    assert names(tmp_path / "w") == {"iter_2.pth"}


def test_a_signal_before_the_first_iteration_says_that_nothing_was_trained(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While data loaders start, SIGTERM may end their workers, too; while the model is built, Ctrl-C is Python's."""
    said = "Interrupted before the first iteration: nothing was trained."
    cfg = experiment(data, tmp_path / "w", "iterations")
    cfg.custom_hooks.append(dict(type="LoseWorkers"))
    assert run(cfg, tmp_path / "c.py") == 143
    assert capsys.readouterr().err.splitlines()[-1] == f"{said} There is no checkpoint"

    def press(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(build_training, "build_training", press)
    assert run(experiment(data, tmp_path / "w", "iterations"), tmp_path / "d.py") == 130
    assert capsys.readouterr().err == f"{said}\n"
    assert not names(tmp_path / "w")
