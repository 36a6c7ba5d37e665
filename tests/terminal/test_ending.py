"""Each error of a command is one paragraph on stderr, and an exit status."""

from __future__ import annotations

import errno
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, Optional

import pytest

from davpt_seg.errors import DivergedError, InputError
from davpt_seg.terminal import program as program_module
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser
from davpt_seg.terminal.program import program


def raising(error: BaseException) -> Callable[[Optional[Sequence[str]]], None]:
    """Return a command that raises an error."""

    @command
    def main(argv: Optional[Sequence[str]] = None) -> None:
        raise error

    return main


def ended(error: BaseException, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[object, str]:
    """Return the exit status of a command that raises an error, and what it printed."""
    with pytest.raises(SystemExit) as end:
        raising(error)(arguments)
    printed = capsys.readouterr()
    assert not printed.out
    return end.value.code, printed.err


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (InputError("data_root: 'x' does not exist"), 2, "error: data_root: 'x' does not exist\n"),
        (InputError("vit.pth does not fit\n  file: 2 blocks\n  hint: x"), 2, "fit; file: 2 blocks; hint: x\n"),
        (KeyError("loss"), 1, "unexpected KeyError: 'loss' (in your file"),
        (KeyError("a sentence of it's own"), 1, "unexpected KeyError: a sentence of it's own (in your file"),
        (AssertionError(), 1, "unexpected AssertionError: no message, at 'raise error' (in your file"),
        (DivergedError("the loss is NaN"), 3, "error: the loss is NaN\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (OSError(errno.ENOSPC, "?", "iter_2.pth"), 2, "error: iter_2.pth: No space left on device. Free space, or"),
        (PermissionError(errno.EACCES, "?", "/w"), 2, "error: /w: Permission denied. Change its permissions"),
        (MemoryError(), 1, "error: the memory is too small: lower the batch size"),
        (ZeroDivisionError("division\nby zero"), 1, "unexpected ZeroDivisionError: division by zero (in your file"),
    ],
)
def test_an_error_is_one_paragraph(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, printed = ended(error, capsys)
    assert code == status
    assert says in printed
    assert printed.count("\n") == 1
    assert "Traceback (most recent call last)" not in printed


@pytest.mark.parametrize("error", [InputError("wrong"), ZeroDivisionError("bug")])
def test_a_traceback_is_printed_if_asked_for(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    printed = ended(error, capsys, "--traceback")[1]
    assert printed.startswith("Traceback (most recent call last)")
    assert str(error) in printed.splitlines()[-1]


def test_an_unexpected_error_leaves_its_traceback_in_the_log_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mmengine.logging import MMLogger

    log = MMLogger.get_instance("test_ending", log_file=str(tmp_path / "run.log"))
    try:
        printed = ended(ZeroDivisionError("a bug"), capsys)[1]
    finally:
        for handler in log.handlers:
            if isinstance(handler, logging.FileHandler):
                handler.close()
        MMLogger._instance_dict.pop("test_ending")
    written = (tmp_path / "run.log").read_text()
    assert f"Traceback: {tmp_path / 'run.log'}" in printed
    assert "Traceback (most recent call last)" in written
    assert "raise error" in written


def test_the_message_of_a_data_loaders_worker_is_that_of_its_error(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        "Caught InputError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
        '  File "x.py", line 1, in f\n    raise InputError("a.png is empty")\n'
        "davpt_seg.errors.InputError: a.png is empty\n"
    )
    assert ended(InputError(text), capsys)[1].endswith("error: a.png is empty\n")


def test_an_unknown_option_is_answered_with_the_right_one(capsys: pytest.CaptureFixture[str]) -> None:
    parser = CommandParser(prog="train.py")
    parser.add_argument("--work-dir")
    with pytest.raises(SystemExit) as end:
        parser.parse_args(["--workdir", "x"])
    printed = capsys.readouterr().err
    assert end.value.code == 2
    assert printed.startswith("train.py: error: unrecognized arguments: --workdir x: did you mean '--work-dir'?")
    assert "usage" not in printed


def test_a_command_is_named_as_this_user_can_type_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("train.py", "test.py"):
        (tmp_path / name).touch()
    monkeypatch.setattr("sys.argv", [str(tmp_path / "train.py")])
    assert program("test") == f"python {tmp_path / 'test.py'}"
    monkeypatch.setattr("sys.argv", ["davpt-seg train"])
    monkeypatch.setattr(program_module.shutil, "which", lambda name: "/usr/bin/davpt-seg")
    assert program("test") == "davpt-seg test"
    monkeypatch.setattr(program_module.shutil, "which", lambda name: None)
    assert program("test") == "python -m davpt_seg test"


def test_a_process_whose_message_another_one_prints_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(KeyboardInterrupt(""), capsys) == (130, "")


def test_an_end_before_a_log_is_open_opens_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """MMEngine's first logger imports mmcv and torch: seconds, in which a Ctrl-C during those imports crashed."""
    from mmengine.logging import MMLogger

    monkeypatch.setattr(MMLogger, "_instance_dict", {})
    assert ended(KeyboardInterrupt(), capsys) == (130, "Interrupted.\n")
    assert not MMLogger._instance_dict
