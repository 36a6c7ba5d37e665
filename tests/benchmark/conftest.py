"""Fixture for benchmarks with fake trainings in a temporary folder."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.process import BaseProcess as Process
from pathlib import Path

import pytest

from davpt_seg.benchmark.command import main_benchmark

FAKE = Path(__file__).with_name("fake_train.py")
SMALL = (
    *("--tasks", "vtab/dtd", "vtab/svhn", "--trunks", "vitb_in21k", "--methods", "linear", "davpt"),
    *("--grid", "lr=1e-3,1e-2", "--seeds", "2"),
)
RUNS = 2 * 2 * (2 + 2)  # tasks, methods, trials and seeds


class Bench:
    """Runner of benchmarks that reports what they started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary.txt"
        self.command = f"{sys.executable} -S {FAKE}"

    def arguments(self, work_dir: str, *arguments: str, what: Sequence[str] = SMALL) -> list[str]:
        return [*what, "--work-dir", str(self.folder / work_dir), "--command", self.command, *arguments]

    def run(self, work_dir: str, *arguments: str, what: Sequence[str] = SMALL) -> int:
        return main_benchmark(self.arguments(work_dir, *arguments, what=what))

    def started(self) -> list[str]:
        return self.diary.read_text().splitlines() if self.diary.is_file() else []

    def start(self, arguments: Sequence[str], **environment: str) -> Process:
        """Run a benchmark in a separate process, which can be killed; its output is written to ``said.txt``."""
        process = get_context("fork").Process(target=self._alone, args=(arguments, environment))
        process.start()
        return process

    def _alone(self, arguments: Sequence[str], environment: dict[str, str]) -> None:
        os.environ.update(environment)
        with open(self.folder / "said.txt", "a", buffering=1) as said, redirect_stdout(said), redirect_stderr(said):
            try:
                os._exit(main_benchmark(arguments))
            except BaseException:  # a test's capture would lose it
                traceback.print_exc()
                raise

    def table(self, work_dir: str) -> bytes:
        return (self.folder / work_dir / "table.md").read_bytes() + (self.folder / work_dir / "table.csv").read_bytes()


def wait_until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    for task in ("dtd", "svhn", "mine"):
        (tmp_path / "vtab" / task).mkdir(parents=True)
    monkeypatch.setenv("VTAB_ROOT", str(tmp_path / "vtab"))
    (tmp_path / "camvid").mkdir()
    monkeypatch.setenv("CAMVID_ROOT", str(tmp_path / "camvid"))
    made = Bench(tmp_path)
    monkeypatch.setenv("FAKE_DIARY", str(made.diary))
    return made
