"""Locks of folders, which have one owner, and of logs, which are locked while their training runs.

A lock belongs to an open file, so a training that inherits the file keeps the lock when the command that started it is
killed. The kernel releases a lock with the last process that has it. No lock is ever stale.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import InputError
from .json_files import read_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

NAME = "owner.lock"
TRIES = 5  # another command's check of a lock takes it for an instant
BETWEEN = 0.1  # seconds


class NoLocksError(InputError):
    """A place where files cannot be locked.

    Apart from other errors because a training begins without a lock there, with a warning.
    """


@contextmanager
def owner(folder: Path) -> Iterator[int]:
    """Own a folder while the block runs.

    Args:
        folder: work dir, which is created.

    Yields:
        The descriptor of the lock's file. A process that inherits it owns the folder too.

    Raises:
        InputError: another command, or a training that outlived its command, owns the folder, or files there cannot
            be locked.
    """
    if fcntl is None:
        raise NoLocksError("benchmarks need file locks, which Windows lacks; use Linux, macOS or WSL")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / NAME
    with open(path, "a+") as file:
        for left in reversed(range(TRIES)):
            if _lock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB, path):
                break
            if not left:
                raise InputError(_in_use(folder))
            time.sleep(BETWEEN)
        file.truncate(0)
        file.write(_myself())
        file.flush()
        yield file.fileno()


def check_free(folder: Path) -> None:
    """Check early that a folder is not in use, without creating it.

    Raises:
        InputError: a command, or a training that outlived its command, owns the folder.
    """
    if locked(folder / NAME):
        raise InputError(_in_use(folder))


def lock_log(descriptor: int, path: Path) -> None:
    """Lock a log for this process and for all that inherit the open file.

    Raises:
        InputError: files cannot be locked there.
    """
    _lock(descriptor, fcntl.LOCK_EX, path)


def locked(path: Path) -> bool:
    """Return whether a process holds the lock of a file."""
    if fcntl is None:
        return False
    try:
        with open(path) as file:
            return not _lock(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB, path)
    except FileNotFoundError:
        return False


def _lock(descriptor: int, how: int, path: Path) -> bool:
    try:
        fcntl.flock(descriptor, how)
    except BlockingIOError:
        return False
    except OSError as error:  # for instance a parallel file system that is mounted without locks
        raise NoLocksError(
            f"{path} cannot be locked ({error.strerror}), and without a lock two commands could train in one folder; "
            "use a --work-dir on another file system"
        ) from None
    return True


def _myself() -> str:
    about = dict(pid=os.getpid(), host=socket.gethostname(), since=time.strftime("%F %T"), command=shlex.join(sys.argv))
    return json.dumps(about)


def _in_use(folder: Path) -> str:
    """Describe a folder's owner, and what to do."""
    about = read_json(folder / NAME, names_damage=False) or {}
    pid, host = about.get("pid"), about.get("host")
    who = f"process {pid} on host {host}, since {about.get('since')}"
    found = holders(folder / NAME)
    if found and host == socket.gethostname() and pid not in found:
        pids = " ".join(map(str, found))
        return (
            f"{folder}: trainings still run whose command ({who}) was killed: process {pids}. Wait until they end, or "
            f"end them by 'kill {pids}', and run the same command again; it resumes them"
        )
    return (
        f"{folder} is in use by another command ({who}). Wait until it ends, or stop it, and run the same command "
        "again; or use another --work-dir"
    )


def holders(path: Path) -> list[int]:
    """List the other processes of this user that have a file open, on systems with /proc."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # the process ended, or is another user's
            if os.readlink(link) == str(path.resolve()):
                found.add(int(link.parts[2]))
    return sorted(found - {os.getpid()})
