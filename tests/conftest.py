"""Common fixtures of several folders."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.runner import runner

from davpt_seg.compat import format_assignments_once

from .checkpoints import Trained, tiny_trained, without_trunk
from .forked import forked
from .scenes import write_camvid

torch.set_num_threads(1)  # the machine is small and tests' tensors are tiny
os.environ.setdefault("OMP_NUM_THREADS", "1")  # of processes that tests start, and of libraries that come later
format_assignments_once()  # as the commands do; tests that call MMEngine's Runner are three times as fast with it


class _Clock:
    """A clock for MMEngine's Runner that never shows the same second twice.

    Runner names its logger, visualizer and message hub after the second in which it starts. Tests start several within
    one, and a later Runner would write into the folder, and the closed output, of an earlier one.
    """

    def __init__(self) -> None:
        self._last = 0.0

    def time(self) -> float:
        self._last = max(time.time(), self._last + 1)
        return self._last

    def __getattr__(self, name: str) -> Any:
        return getattr(time, name)


runner.time = _Clock()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that have slow tests, so that two processes end at nearly the same time."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests counted (``record_property("counts", ...)``), in any process of xdist."""
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            if name == "counts":
                terminalreporter.write_line(value)


def pytest_collection_finish() -> None:
    """Keep what was imported out of garbage collections: MMEngine asks for a complete one with each data set."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def camvid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny data set in CamVid's layout."""
    return write_camvid(tmp_path_factory.mktemp("camvid"))


@pytest.fixture(scope="session")
def trained(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Return a tiny model with the checkpoint of a real, short training."""
    return tiny_trained(camvid, tmp_path_factory.mktemp("trained"))


@pytest.fixture(scope="session")
def slim(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The same model with a checkpoint that was saved without its frozen ViT."""
    return without_trunk(trained, tmp_path_factory.mktemp("slim"))


@pytest.fixture(scope="session")
def forked_python(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A program like ``sys.executable`` that has imported everything: see forked.py."""
    with forked(tmp_path_factory.mktemp("forked")) as program:
        yield program
