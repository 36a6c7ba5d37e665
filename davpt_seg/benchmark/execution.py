"""One run: a training process in the run's folder, its log, its result."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Optional

from ..errors import DIVERGED
from .attempts import HEARTBEAT, Attempt
from .files import write_json
from .plan.study import Run, check_same
from .results import collect, diverged, result

PATIENCE = 20.0  # seconds that a training gets to end when it is asked to
KEEP = ("first", "all", "none")


@dataclass(frozen=True)
class Launch:
    """How trainings are started, the same for all.

    Args:
        program: what trains, such as ``python -m davpt_seg train``.
        session: name of this command, see :class:`~davpt_seg.benchmark.attempts.Attempt`.
        keep: whose checkpoints outlive their run: the ``first`` seed's final one, ``all`` final ones, ``none``.
        threads: ``OMP_NUM_THREADS`` of each; None leaves it alone.
    """

    program: tuple[str, ...]
    session: str
    keep: str = "first"
    threads: Optional[int] = None

    def environment(self, slot: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a training on a slot, which may name its GPU."""
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        return {**os.environ, **threads, **slot}


def execute(run: Run, folder: Path, attempt: Attempt, launch: Launch, slot: Mapping[str, str], stopping: Event) -> str:
    """Train, or go on with what was stopped, and collect the result.

    Args:
        run: what is run.
        folder: its folder.
        attempt: our claim to it.
        launch, slot: how, and on which device.
        stopping: set when the training shall end early.

    Returns:
        How the attempt ended: ``finished``, ``failed``, ``stopped``, or ``diverged`` (a trial, which has its result).

    Raises:
        InputError: the folder holds a run of another definition.
    """
    start = time.monotonic()
    if check_same(run, folder) is None:
        write_json(folder / "run.json", run.definition())
    # Somebody else's training may have ended after its worker was killed: then its test is over, and not done again.
    if result(folder) is None and collect(run, folder, None) is None:
        code = _train(run, folder, attempt, launch, slot, stopping)
        if code is None:
            attempt.end("stopped")
            return "stopped"
        if code == DIVERGED and run.stage == "search":
            diverged(folder, time.monotonic() - start)
            attempt.end("diverged")
            return "diverged"
        if code != 0 or collect(run, folder, time.monotonic() - start) is None:
            attempt.end("failed")
            return "failed"
    _drop_checkpoints(run, folder, launch.keep)
    attempt.end("finished")
    return "finished"


def _train(
    run: Run, folder: Path, attempt: Attempt, launch: Launch, slot: Mapping[str, str], stopping: Event
) -> Optional[int]:
    """Return the training's exit status; None where we ended it."""
    with open(attempt.log, "w") as log:
        process = subprocess.Popen(
            run.command(launch.program, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=launch.environment(slot),
            start_new_session=True,  # so that it can be ended with all that it started
        )
        attempt.hold(process.pid)
        beat = time.monotonic()
        while True:
            try:
                return process.wait(timeout=0.2)
            except subprocess.TimeoutExpired:
                if stopping.is_set():
                    _end(process)
                    return None
            if time.monotonic() - beat > HEARTBEAT:
                attempt.beat()
                beat = time.monotonic()


def _end(process: subprocess.Popen[bytes]) -> None:
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, sign)
        except ProcessLookupError:
            return
        try:
            process.wait(PATIENCE)
            return
        except subprocess.TimeoutExpired:
            continue


def _drop_checkpoints(run: Run, folder: Path, keep: str) -> None:
    """Remove checkpoints of a run that ended, but the last one of a run to keep."""
    first = run.stage == "final" and run.seed == run.study.seeds[0]
    kept = (run.stage == "final") if keep == "all" else first and keep == "first"
    checkpoints = sorted(folder.glob("*.pth"), key=lambda path: path.stat().st_mtime)
    for checkpoint in checkpoints[: len(checkpoints) - kept]:
        checkpoint.unlink()
