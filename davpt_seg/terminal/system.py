"""Errors of the disk and the operating system, and what a user can do about them."""

from __future__ import annotations

import errno
import os
from typing import Optional

ADVICE = {
    errno.ENOSPC: "Free space, or write to another disk",
    errno.EDQUOT: "Free space, or write to another disk",
    errno.EFBIG: "The file system, or 'ulimit -f', allows no larger file",
    errno.EROFS: "Write to another folder",
    errno.EACCES: "Change its permissions, or use another folder",
    errno.EPERM: "Change its permissions, or use another folder",
    errno.ENOTDIR: "A part of this path is a file; use another folder",
    errno.EEXIST: "It is there already; use another name",
    errno.EISDIR: "It is a folder; give a file",
    errno.ENAMETOOLONG: "Use a shorter name",
    errno.EMFILE: "Raise the limit by 'ulimit -n 65536'",
    errno.ESTALE: "The file server lost it; run the command again",
    errno.EIO: "The disk or file server failed; look at its logs",
}


def of_system(error: BaseException) -> Optional[str]:
    """Describe an error of the disk or the system: its file, the reason and advice; None for other errors."""
    if not isinstance(error, OSError) or error.errno not in ADVICE:
        return None
    file = f"{error.filename}: " if error.filename else ""
    return f"{file}{os.strerror(error.errno)}. {ADVICE[error.errno]}"
