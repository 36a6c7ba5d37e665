"""Attempts at a run: one numbered file and log each, which are never removed."""

from __future__ import annotations

import socket
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any, Optional

from ..errors import InputError
from .json_files import read_json, write_json
from .lock import holders, lock_log, locked


@dataclass
class Attempt:
    """Attempt at a run.

    Args:
        path: file of the attempt, ``attempts/001.json`` in the run's folder.
        host: host of the attempt.
        pid: process of the training; None before it starts, and on a cluster.
        ended: ``finished``, ``failed``, ``stopped`` or ``diverged``; None before the end.
    """

    path: Path
    host: Optional[str] = None
    pid: Optional[int] = None
    ended: Optional[str] = None

    @property
    def log(self) -> Path:
        """Return the file with the training's output."""
        return self.path.with_suffix(".log")

    def open_log(self) -> IO[bytes]:
        """Open the log for writing; it is locked while this process, or one that inherits the file, has it open."""
        log = open(self.log, "ab", buffering=0)  # noqa: SIM115
        lock_log(log.fileno(), self.log)
        return log

    def started(self, pid: int) -> None:
        """Record the process that trains."""
        self.pid = pid
        self._write()

    def end(self, how: str) -> None:
        """Record how the attempt ended."""
        self.ended = how
        self._write()

    def state(self) -> str:
        """Return how the attempt ended, or ``running``; with all its processes killed it was ``stopped``."""
        old = self.host is None  # older versions locked no log
        return self.ended or ("running" if locked(self.log) or (old and holders(self.log)) else "stopped")

    def _write(self) -> None:
        content = asdict(self)
        del content["path"]
        write_json(self.path, content)


def last_attempt(folder: Path) -> Optional[Attempt]:
    """Return the newest attempt at a run; None if there was none."""
    paths = sorted((folder / "attempts").glob("[0-9]*.json"))
    if not paths:
        return None
    content: dict[str, Any] = read_json(paths[-1]) or {}  # older versions wrote further keys
    return Attempt(paths[-1], **{key: content.get(key) for key in ("host", "pid", "ended")})


def next_attempt(folder: Path) -> Attempt:
    """Begin the next attempt at a run, whose folder this process owns.

    Raises:
        InputError: a training that an older version's command started still runs in the folder.
    """
    last = last_attempt(folder)
    if last is not None and last.state() == "running":
        pids = " ".join(map(str, holders(last.log)))
        raise InputError(
            f"{folder}: another command, perhaps of an older version, still trains there (process {pids}). Wait until "
            "it ends, or stop it, and run the same command again; it resumes"
        )
    number = int(last.path.stem) + 1 if last else 1
    attempt = Attempt(folder / "attempts" / f"{number:03}.json", socket.gethostname())
    attempt._write()
    return attempt
