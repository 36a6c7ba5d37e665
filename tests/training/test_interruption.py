"""Ctrl-C ends a training behind a pipe as it does in a terminal."""

from __future__ import annotations

import io
import signal

import pytest

from davpt_seg.training.interruption import Request


class Lost(io.StringIO):
    def write(self, text: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")


def test_a_signal_is_noted_where_its_answer_has_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """As behind ``2>&1 | tee FILE``: Ctrl-C ends tee, too."""
    monkeypatch.setattr("sys.stderr", Lost())
    before = signal.getsignal(signal.SIGCHLD)
    try:
        request = Request()
        request(signal.SIGINT, None)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert request.signum == signal.SIGINT
