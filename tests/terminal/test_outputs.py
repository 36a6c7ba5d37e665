"""A command whose terminal, pipe or disk is gone ends as it would otherwise, without tracebacks."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import pytest

from davpt_seg.terminal.ending import command
from davpt_seg.terminal.outputs import lost_outputs_survived

from ..typed import Terminal


@pytest.fixture(scope="module")
def terminal(forked_python: str, tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    return Terminal(forked_python, tmp_path_factory.mktemp("user"))


class Lost(io.StringIO):
    """A stream that cannot be written."""

    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


@pytest.mark.parametrize("output", ["| head -2", "> /dev/full", "| true"])
def test_a_training_without_reader_is_trained_to_its_end(output: str, terminal: Terminal) -> None:
    folder = terminal.folder()
    found = terminal.type(f"davpt-seg train mine.py --work-dir out {output}; echo status ${{PIPESTATUS[0]}} >&2")
    assert found.err.endswith("status 0\n")
    assert found.err.count("\n") == 2
    assert "the terminal cannot be written (" in found.err and "; the command continues" in found.err
    assert (folder / "out" / "epoch_1.pth").is_file()
    (log,) = (folder / "out").glob("*/*.log")
    assert "Done." in log.read_text()


def test_a_log_file_that_cannot_be_written_is_reported_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handler = logging.FileHandler(tmp_path / "train.log")
    handler.setStream(Lost())  # type: ignore[arg-type]
    with lost_outputs_survived():
        for _ in range(3):
            handler.handle(logging.makeLogRecord({"msg": "a step"}))
    assert capsys.readouterr().err == f"{tmp_path}/train.log cannot be written (Broken pipe); the command continues\n"


def test_a_mistake_in_a_call_of_the_log_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with lost_outputs_survived():
        logging.StreamHandler().handle(logging.makeLogRecord({"msg": "%d", "args": ("x",)}))
    assert "--- Logging error ---" in capsys.readouterr().err


def test_python_logs_as_before_where_no_command_runs() -> None:
    before = logging.Handler.handleError
    with lost_outputs_survived():
        assert logging.Handler.handleError is not before
    assert logging.Handler.handleError is before


def test_an_error_without_stdout_is_one_paragraph(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @command
    def main(argv: Optional[Sequence[str]] = None) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stdout", None)
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 1
    assert "unexpected BrokenPipeError" in capsys.readouterr().err  # of a data worker


def test_characters_that_a_terminal_does_not_have_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    ascii_only = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr("sys.stdout", ascii_only)
    with lost_outputs_survived():
        print("Übung", flush=True)
    assert ascii_only.buffer.getvalue() == b"\\xdcbung" + os.linesep.encode()  # type: ignore[attr-defined]
