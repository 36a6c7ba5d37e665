"""Execution of a run: a training process in the run's folder, its log, its result."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Callable, Optional

from ..errors import DIVERGED
from .attempts import Attempt
from .results import collect, diverged, result
from .training import Launch, Training, define

PATIENCE = 20.0  # seconds in which a training must end on request
LOOK = 0.2  # seconds between two checks whether it should end


def execute(
    training: Training,
    folder: Path,
    attempt: Attempt,
    launch: Launch,
    slot: Mapping[str, str],
    stopping: Callable[[], bool],
) -> str:
    """Train, or resume a stopped training, and collect the result.

    Args:
        training: training to run.
        folder: folder of the training, which this process owns.
        attempt: current attempt.
        launch, slot: way to start it, and environment variables that choose its device.
        stopping: function that returns whether the training should end early, called five times a second.

    Returns:
        How the attempt ended: ``finished``, ``failed``, ``stopped``, or ``diverged`` (a trial, which has its result).

    Raises:
        InputError: the folder holds a run of another definition.
    """
    start = time.monotonic()
    try:
        define(training, folder)
        how = "finished"
        # A training may have outlived the command that started it: then its test is over, and not repeated.
        if result(folder) is None and collect(training, folder, None) is None:
            code = _train(training, folder, launch, attempt, slot, stopping)
            how = _ending(training, folder, code, time.monotonic() - start)
        if how == "finished":
            _drop_checkpoints(folder, keep=int(training.keep))
    except BaseException:
        attempt.end("stopped")
        raise
    attempt.end(how)
    return how


def assist(training: Training, folder: Path, attempt: Attempt, launch: Launch, stopping: Callable[[], bool]) -> str:
    """Train on a further node; the first node has the result. Arguments are those of execute.

    Args:
        attempt: attempt of this node.

    Returns:
        ``finished``, ``failed``, ``stopped`` or ``diverged``.
    """
    how = "stopped"
    try:
        code = _train(training, folder, launch, attempt, {}, stopping)
        how = "stopped" if code is None else {0: "finished", DIVERGED: "diverged"}.get(code, "failed")
    finally:
        attempt.end(how)
    return how


def _ending(training: Training, folder: Path, code: Optional[int], seconds: float) -> str:
    """Collect the result of a training, and return how it ended."""
    if code is None:
        return "stopped"
    if code == DIVERGED and training.stage == "search":
        diverged(folder, seconds)
        return "diverged"
    return "finished" if code == 0 and collect(training, folder, seconds) is not None else "failed"


def _train(
    training: Training,
    folder: Path,
    launch: Launch,
    attempt: Attempt,
    slot: Mapping[str, str],
    stopping: Callable[[], bool],
) -> Optional[int]:
    """Return the training's exit status; None if it was ended early."""
    with attempt.open_log() as log:
        process = subprocess.Popen(
            launch.command(training, folder),
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env=launch.environment(training, slot),
            pass_fds=launch.inherited,
            start_new_session=True,  # so that it can be ended with all its child processes
        )
        try:
            attempt.started(process.pid)
            while not stopping():
                try:
                    return process.wait(timeout=LOOK)
                except subprocess.TimeoutExpired:
                    continue
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a running training with all its child processes; an interruption is raised after its end."""
    interruption: Optional[BaseException] = None
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, sign)
        end = time.monotonic() + PATIENCE
        while process.poll() is None and (left := end - time.monotonic()) > 0:
            try:
                process.wait(left)
            except subprocess.TimeoutExpired:
                break
            except BaseException as error:  # for instance Ray's second request to cancel
                interruption = error
    if interruption is not None:
        raise interruption


def _drop_checkpoints(folder: Path, keep: int) -> None:
    """Remove the checkpoints of a run that ended, except the last ones to keep."""
    checkpoints = sorted(folder.glob("*.pth"), key=lambda path: path.stat().st_mtime)
    for checkpoint in checkpoints[: len(checkpoints) - keep]:
        checkpoint.unlink()
