"""Run on several nodes of a Ray cluster: torchrun on each, and the result from the first."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import ray
from ray.exceptions import RayError, RayTaskError, TaskCancelledError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from ...runs import execution
from ...runs.attempts import next_attempt
from ...runs.execution import PATIENCE
from ...runs.training import Launch, Meeting, Training
from .node import RETRIES, Outcome, Place, Sender, another_version, train, wait_until_free

LATE = 60.0  # seconds in which a node's death may become known after a training failed
ENDED = ("finished", "diverged")


def train_together(training: Training, launch: Launch, place: Place, version: str, mailbox: Any, nodes: int) -> Outcome:
    """Train on this node and on the others of its placement group; if one dies, all start again.

    Args:
        nodes: number of nodes.
        training, launch, place, version, mailbox: see :func:`~davpt_seg.benchmark.run.node.train`.
    """
    place.enter()  # a relative --node-dir begins here, on each node
    outcome = Outcome("failed", socket.gethostname(), {})
    for _ in range(RETRIES + 1):
        meeting = Meeting(ray.util.get_node_ip_address(), _free_port(), nodes)
        folder = place.folder(training.key)
        wait_until_free(folder)  # then its checkpoints are complete
        given = (training, place, version, mailbox, ray.put(_checkpoints(folder)))
        helpers = Helpers([_start(replace(launch, meeting=replace(meeting, node=i)), *given) for i in range(1, nodes)])
        patience = 0.0
        try:
            outcome = train(training, replace(launch, meeting=meeting), place, version, mailbox, helpers.lost)
            patience = PATIENCE if outcome.how in ENDED else LATE
        finally:
            helpers.end(patience)
        if outcome.error is not None or outcome.how in ENDED:
            return outcome
        if helpers.failed is not None and helpers.failed.error is not None:
            return helpers.failed
        if helpers.died is None:
            break
        lost = f"davpt-seg: another node of this run is lost ({helpers.died}); the run starts again\n"
        ray.get(mailbox.put.remote(training.key, 0, lost.encode()))
    return outcome._replace(how="failed")


class Helpers:
    """Tasks on the further nodes of a run.

    Args:
        tasks: references of their outcomes.
    """

    def __init__(self, tasks: list[Any]) -> None:
        self._open = tasks
        self.died: Optional[str] = None
        self.failed: Optional[Outcome] = None

    def lost(self) -> bool:
        """Return whether a task is lost or failed, so that the run cannot succeed."""
        self._look(0)
        return self.died is not None or self.failed is not None

    def end(self, seconds: float) -> None:
        """Wait for the tasks, unless one is lost, and end those that take too long.

        Args:
            seconds: time limit.
        """
        end = time.monotonic() + seconds
        while self._open and self.died is None and time.monotonic() < end:
            self._look(1)
        for task in self._open:
            ray.cancel(task)
        end = time.monotonic() + PATIENCE
        while self._open and time.monotonic() < end:
            self._look(1)

    def _look(self, seconds: float) -> None:
        if not self._open:
            return
        ended, self._open = ray.wait(self._open, timeout=seconds)
        for task in ended:
            try:
                outcome = ray.get(task)
            except TaskCancelledError:
                continue
            except RayTaskError:  # an error of ours
                raise
            except RayError as error:
                self.died = type(error).__name__
                continue
            if outcome.how not in ENDED:  # all nodes diverge together, and the first one reports it
                self.failed = outcome


def assist(
    training: Training, place: Place, version: str, mailbox: Any, checkpoints: Mapping[str, bytes], launch: Launch
) -> Outcome:
    """Train on a further node of a run, in a folder below the run's, and return how it ended.

    Args:
        checkpoints: checkpoints of the first node, by name.
        launch: way to start the training, with this node's number.
        training, place, version, mailbox: see :func:`~davpt_seg.benchmark.run.node.train`.
    """
    assert launch.meeting is not None
    if error := another_version(version):
        return Outcome("", socket.gethostname(), {}, error)
    place.enter()
    folder = place.folder(training.key) / f"node{launch.meeting.node}"
    wait_until_free(folder)
    attempt = next_attempt(folder)
    sender = Sender(mailbox, training.key, attempt.log, launch.meeting.node)
    with _copied(checkpoints, folder):
        how = execution.assist(training, folder, attempt, launch, sender)
    sender.send()
    return Outcome(how, socket.gethostname(), {})


def _start(launch: Launch, *given: Any) -> Any:
    """Submit the task of a further node; Ray does not retry it, because all nodes must begin together."""
    group = ray.util.get_current_placement_group()
    assert launch.meeting is not None and group is not None
    node = launch.meeting.node
    room = group.bundle_specs[node]
    task: Any = ray.remote(num_cpus=room["CPU"], num_gpus=room.get("GPU", 0), max_retries=0)(assist)
    here = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=node)
    return task.options(name=f"{given[0].key} node{node}", scheduling_strategy=here).remote(*given, launch)


def _checkpoints(folder: Path) -> dict[str, bytes]:
    """Read the checkpoints that a training resumes from, the oldest first."""
    files = [*folder.glob("*.pth"), *folder.glob("last_checkpoint")]
    return {path.name: path.read_bytes() for path in sorted(files, key=lambda path: path.stat().st_mtime)}


@contextmanager
def _copied(checkpoints: Mapping[str, bytes], folder: Path) -> Iterator[None]:
    """Put the first node's checkpoints, and no others, into a folder, so that all nodes resume from the same one."""
    for path in folder.glob("*.pth"):
        path.unlink()
    (folder / "last_checkpoint").unlink(missing_ok=True)
    try:
        for name, content in checkpoints.items():
            (folder / name).write_bytes(content)
        yield
    finally:
        for name in checkpoints:
            (folder / name).unlink(missing_ok=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("", 0))
        return int(found.getsockname()[1])
