"""How a training's process is ended."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from davpt_seg.runs import execution

ENDS_LATE = """
import signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(1), sys.exit()))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def interrupted_soon() -> Iterator[None]:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_an_interruption_waits_until_the_training_has_ended(request: pytest.FixtureRequest) -> None:
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", ENDS_LATE], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    request.getfixturevalue("interrupted_soon")
    with pytest.raises(KeyboardInterrupt):
        execution._end(process)
    assert process.poll() == 0  # it ended by itself, and was not killed


def test_a_training_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execution, "PATIENCE", 0.3)
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", ENDS_LATE.replace("sleep(1)", "sleep(60)")],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    execution._end(process)
    process.wait(5)
    assert process.returncode == -signal.SIGKILL
