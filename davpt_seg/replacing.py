"""Replacement of files and folders in one step, safe if the writing process is killed."""

from __future__ import annotations

import contextlib
import errno
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
LONGEST = 150  # bytes of a name that its part keeps: file systems allow 255, and a host's name may have 64


@contextlib.contextmanager
def replacing(path: Union[str, Path], durable: bool = False, shared: bool = False) -> Iterator[Path]:
    """Yield a path next to ``path`` to write a file or folder to, which then replaces ``path``.

    Until then, the old content stays complete; only a folder has no name for the instant between two renamings. If the
    block raises, the part is removed. A killed process leaves it under a name that ends in ``.unfinished``, and the
    next writer of the same path removes it. A file keeps the permissions of the file that it replaces; a new one has
    those that ``open`` gives. A symbolic link is replaced, and its target stays unchanged.

    Args:
        path: file or folder; its parent folder is created.
        durable: whether to write the file to the disk before it is renamed, and its name afterwards, so that a power
            cut leaves a complete file.
        shared: whether other processes, on any host, may write the same path at the same time; the last one takes
            precedence.
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
    except OSError as error:
        if error.errno is not None and error.filename in (None, str(part)):  # a full disk is reported without a name
            error.filename = str(path)
        raise
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
    """Return a name, or a digest of it if it would be too long for a file system with an ending."""
    return name if len(os.fsencode(name)) <= LONGEST else hashlib.sha256(os.fsencode(name)).hexdigest()[:32]


def _copy_mode(path: Path, part: Path) -> None:
    """Give a part the permissions of a path; chmod, which some mounts refuse, is called only if they differ."""
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode != stat.S_IMODE(part.stat().st_mode):
        part.chmod(mode)


def _runs(pid: int) -> bool:
    if os.name != "posix":  # os.kill would end the process on Windows
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
    old = part.with_name(f"{part.name.removesuffix(UNFINISHED)}.old{UNFINISHED}")
    while True:  # a folder with content cannot be renamed over
        if path.is_dir() or path.is_symlink():
            _remove(old)
            with contextlib.suppress(FileNotFoundError):  # another process replaces it at this moment
                os.replace(path, old)
        try:
            os.replace(part, path)
            break
        except OSError as error:
            if error.errno in (errno.ENOTEMPTY, errno.EEXIST):  # another process was faster
                continue
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
