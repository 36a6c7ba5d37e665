"""Who runs what: a run's folder is claimed by creating its next attempt file, so that several hosts can share it.

An attempt file is never removed, and the next attempt has the next number. Creating it is atomic, so a run whose
worker died is taken over by exactly one other, without any lock.
"""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional

from .files import create_json, read_json, write_json

HEARTBEAT = 30.0  # seconds between two signs of life
SILENCE = 600.0  # seconds after which a process of another host is taken for dead


@dataclass
class Attempt:
    """One try at a run, ours or another's.

    Args:
        path: its file, ``attempts/001.json`` in the run's folder.
        session: which command, or which job array of several workers, made it.
        holders: the processes that must all be dead before anybody else may try: worker, and the training it started.
        ended: None while it goes on, then ``finished``, ``failed`` or ``stopped``.
    """

    path: Path
    session: str = ""
    holders: list[dict[str, Any]] = field(default_factory=list)
    ended: Optional[str] = None

    @property
    def log(self) -> Path:
        """What the training printed."""
        return self.path.with_suffix(".log")

    def hold(self, pid: int) -> None:
        """Add a process of this host that holds the claim."""
        self.holders.append(identity(pid))
        self._write()

    def beat(self) -> None:
        """Give a sign of life to other hosts."""
        os.utime(self.path)

    def end(self, how: str) -> None:
        """Say how it ended."""
        self.ended = how
        self._write()

    def state(self) -> str:
        """Return ``finished``, ``failed``, ``stopped`` or ``running``; one whose processes all died was stopped."""
        if self.ended is not None:
            return self.ended
        silent = time.time() - self.path.stat().st_mtime > SILENCE
        return "running" if any(alive(holder, silent) for holder in self.holders) else "stopped"

    def content(self) -> dict[str, Any]:
        """Return what its file holds."""
        return dict(session=self.session, holders=self.holders, ended=self.ended)

    def _write(self) -> None:
        write_json(self.path, self.content())


def last_attempt(folder: Path) -> Optional[Attempt]:
    """Return the newest attempt at a run; None where nobody tried."""
    numbers = sorted((folder / "attempts").glob("[0-9]*.json"))
    return Attempt(numbers[-1], **(read_json(numbers[-1]) or {})) if numbers else None


def claim(folder: Path, session: str) -> Optional[Attempt]:
    """Start the next attempt at a run.

    Returns:
        The attempt, held by this process; None where somebody else is at it, or where it failed in this session.
    """
    last = last_attempt(folder)
    if last is not None and (last.state() == "running" or (last.ended == "failed" and last.session == session)):
        return None
    number = int(last.path.stem) + 1 if last else 1
    mine = Attempt(folder / "attempts" / f"{number:03}.json", session, [identity(os.getpid())])
    return mine if create_json(mine.path, mine.content()) else None


def identity(pid: int) -> dict[str, Any]:
    """Name a process of this host so that no later process of the same number is taken for it."""
    return dict(host=socket.gethostname(), pid=pid, started=_start(pid))


def alive(process: dict[str, Any], silent: bool) -> bool:
    """Whether a process runs; of another host, whether it has given signs of life."""
    if process["host"] != socket.gethostname():
        return not silent
    try:
        os.kill(process["pid"], 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # another user's
    return process["started"] == _start(process["pid"])


def _start(pid: int) -> Optional[str]:
    """When a process started, in the kernel's ticks; None where there is no /proc, or where it is a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]
