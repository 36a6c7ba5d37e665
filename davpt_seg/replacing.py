"""Files and folders that are replaced in one step, whatever ends the process that writes them."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import platform
import shutil
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Union

UNFINISHED = ".unfinished"  # ending of a part
LONGEST = 150  # bytes of a name that a part keeps: file systems allow 255, and a host's name may have 64


@contextlib.contextmanager
def replacing(path: Union[str, Path], durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """Yield a path beside ``path`` to write a file or folder to, which then takes the place of ``path``.

    Until then, what is there stays complete; only a folder has no name for the instant between two renamings. If the
    block raises, the part is removed. A killed process leaves it under a name that ends in ``.unfinished``, and the
    next writer of the same path removes it. A file keeps the permissions of the one that it replaces; a new one has
    those that ``open`` gives. A symbolic link is replaced, and its target stays as it is.

    Args:
        path: file or folder; the folder around it is made.
        durable: bring the file to the disk before it is renamed, and its name after that, so that a power cut leaves a
            complete file.
        shared: other processes, on any host, may write the same path at the same time; the last one takes precedence.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = _shared_part(path) if shared else path.with_name(_short(path.name) + UNFINISHED)
    _remove(part)
    try:
        yield part
        if durable:
            _to_disk(part)
        with contextlib.suppress(FileNotFoundError):
            _copy_mode(path, part)
        _replace(part, path)
        if durable and os.name == "posix":  # Windows opens no folders
            _to_disk(path.parent)
    finally:
        _remove(part)


def _shared_part(path: Path) -> Path:
    """Name a part that no other process writes, and remove those of dead processes of this host."""
    own = f"{_short(path.name)}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(own)}*{UNFINISHED}"):
        pid = left.name[len(own) :].partition("-")[0]
        if pid.isdecimal() and not _runs(int(pid)):
            _remove(left)
    return path.with_name(f"{own}{os.getpid()}-{uuid.uuid4().hex[:8]}{UNFINISHED}")


def _short(name: str) -> str:
    """Return a name, or a mark of it where an ending would make it too long for a file system."""
    return name if len(os.fsencode(name)) <= LONGEST else hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def _copy_mode(path: Path, part: Path) -> None:
    """Give a part the permissions of a path; where they are equal, chmod is not called, which some mounts refuse."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode != stat.S_IMODE(part.stat().st_mode):
        part.chmod(mode)


def _runs(pid: int) -> bool:
    if os.name != "posix":  # there is no such question on Windows: os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def _replace(part: Path, path: Path) -> None:
    if not part.is_dir():
        os.replace(part, path)
        return
    old = path.with_name(f"{_short(path.name)}.old{UNFINISHED}")  # a folder with content cannot be renamed over
    if path.is_dir() or path.is_symlink():
        _remove(old)
        os.replace(path, old)
    try:
        os.replace(part, path)
    except OSError:
        if os.path.lexists(old):
            os.replace(old, path)
        raise
    _remove(old)


def _to_disk(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
