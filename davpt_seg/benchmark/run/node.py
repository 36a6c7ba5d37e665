"""Run on a node of a Ray cluster: in a folder on the node's disk, with its log sent and its results returned."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional

import ray

from ... import __version__
from ...errors import InputError
from ...runs.attempts import last_attempt, next_attempt
from ...runs.execution import execute
from ...runs.json_files import write_json
from ...runs.results import result
from ...runs.training import Launch, Training

RETRIES = 20  # nodes that may die under one run
EVERY = 2.0  # seconds between two looks at a log
LARGEST = 16 * 2**20  # bytes of a file that is returned
# Scores, result, clusterings, MMEngine's scalars, TensorBoard's events.
RETURNED = ("*.json", "*.jsonl", "*/vis_data/*.json", "*/vis_data/events.out.tfevents.*")


@dataclass(frozen=True)
class Place:
    """Folder of a run on any node, and the current folder there.

    Args:
        node_dir: folder of all runs on a node's disk; None is ``~/.cache/davpt_seg/runs`` there.
        name: name of the work dir's folder in it.
        current: current folder of the driver, also used on nodes that have it.
    """

    node_dir: Optional[str]
    name: str
    current: str

    def folder(self, key: str) -> Path:
        """Return a run's folder on this node."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "davpt_seg" / "runs"
        return (Path(self.node_dir).expanduser() if self.node_dir else cache) / self.name / key

    def enter(self) -> None:
        """Change to the driver's current folder, if this node has it."""
        if os.path.isdir(self.current):
            os.chdir(self.current)


class Outcome(NamedTuple):
    """Outcome of a run.

    Args:
        how: ending, as :func:`~davpt_seg.runs.execution.execute` returns it.
        host: host of the run.
        files: content by path in the run's folder.
        error: reason why it cannot be run at all; the other parts are empty then.
    """

    how: str
    host: str
    files: Mapping[str, bytes]
    error: Optional[str] = None


class Mailbox:
    """Buffer of the output of trainings, until the driver takes it: one actor on the head node."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, int], bytes] = {}

    def put(self, key: str, node: int, lines: bytes) -> None:
        """Add output of a run on a node; the node's number is 0 for a run on one node."""
        self._lines[key, node] = self._lines.get((key, node), b"") + lines

    def take(self) -> dict[tuple[str, int], bytes]:
        """Return the output since the last call, by run and node."""
        lines, self._lines = self._lines, {}
        return lines


class Sender:
    """Sender of new log lines; execute calls it five times a second, and it never asks execute to stop."""

    def __init__(self, mailbox: Any, key: str, log: Path, node: int = 0) -> None:
        self._mailbox = mailbox
        self._key = key, node
        self._log = log
        self._sent = 0
        self._next = 0.0

    def __call__(self) -> bool:
        """Send new lines, from time to time; return False."""
        if time.monotonic() >= self._next:
            self.send()
        return False

    def send(self) -> None:
        """Send new lines."""
        self._next = time.monotonic() + EVERY
        if not self._log.is_file():  # the result was there before
            return
        with open(self._log, "rb") as log:
            log.seek(self._sent)
            lines = log.read()
        if lines:
            ray.get(self._mailbox.put.remote(*self._key, lines))
            self._sent += len(lines)


def train(
    training: Training,
    launch: Launch,
    place: Place,
    version: str,
    mailbox: Any,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Train on this node, or resume a stopped training, and return the results by value.

    Args:
        training, launch: see :func:`~davpt_seg.runs.execution.execute`.
        place: folder of the run.
        version: version of the driver's davpt_seg.
        mailbox: actor that takes the log.
        stopping: function that returns whether the training should end early, called five times a second.
    """
    host = socket.gethostname()
    if error := another_version(version):
        return Outcome("", host, {}, error)
    place.enter()
    folder = place.folder(training.key)
    wait_until_free(folder)
    attempt = next_attempt(folder)
    ray.get(mailbox.put.remote(training.key, 0, f"davpt-seg: on {host}, in {folder}\n".encode()))
    sender = Sender(mailbox, training.key, attempt.log)
    try:
        how = execute(training, folder, attempt, launch, {}, lambda: sender() or stopping())
    except InputError as error:
        return Outcome("", host, {}, f"{host}: {error}")
    sender.send()
    _name_checkpoint(training, folder, host)
    return Outcome(how, host, _files(folder))


def another_version(version: str) -> Optional[str]:
    """Describe a difference between this node's and the driver's davpt_seg; None if there is none."""
    if version == __version__:
        return None
    host = socket.gethostname()
    return f"{host} has davpt_seg {__version__}, and this host {version}; install the same version on both"


def wait_until_free(folder: Path) -> None:
    """Wait for the end of a training that outlived the Ray process that started it."""
    while (last := last_attempt(folder)) is not None and last.state() == "running":
        time.sleep(EVERY)


def check(function: Callable[..., None], place: Place, *args: Any, **kwargs: Any) -> Optional[str]:
    """Call a check on this node, and return its error; None if there is none."""
    place.enter()
    try:
        function(*args, **kwargs)
    except InputError as error:
        return f"on node {socket.gethostname()}: {error}"
    return None


def _name_checkpoint(training: Training, folder: Path, host: str) -> None:
    """Write the place of a kept checkpoint into ``result.json``."""
    found = result(folder)
    checkpoints = sorted(folder.glob("*.pth"), key=lambda path: path.stat().st_mtime)
    if training.keep and found is not None and checkpoints:
        write_json(folder / "result.json", {**found, "checkpoint": f"{host}:{checkpoints[-1]}"})


def _files(folder: Path) -> dict[str, bytes]:
    paths = {path for pattern in RETURNED for path in folder.glob(pattern) if path.stat().st_size <= LARGEST}
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths - {folder / "run.json"}}
