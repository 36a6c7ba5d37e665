"""Check, before training, for files that are read and should not be, and the reverse."""

from __future__ import annotations

import logging
import os
import os.path as osp
import stat
from collections.abc import Iterable, Sequence
from typing import Optional

from ..datasets.pictures import UNREADABLE, looks_damaged, read_picture, why_unreadable
from ..errors import DataError
from ..long_work import MANY, WORKERS, in_parallel
from ..terminal.program import program
from .data_check import DataCheck
from .findings import Finding
from .stray_files import same_names

logger = logging.getLogger("davpt_seg")

# Meaning of each kind of stray file, and what to do about it.
STRAYS = {
    "hidden": (
        "images are read from hidden folders or folders that a program made for itself",
        "delete these folders, here and beside the masks, or move them out of the data",
    ),
    "not read": (
        "images that have a mask are not read, because their suffix is not the data set's img_suffix",
        "rename them to that suffix, upper and lower case being different (readers look at the content, not the name)",
    ),
    "listed twice": (
        "images are listed twice, so that they count twice in training and in scores",
        "take the other entries out of the list",
    ),
    "lossy": (
        "masks are JPEG, which changes labels along every border",
        "make the masks again from their source, as PNG",
    ),
}


def refuse_damaged(where: str, paths: Sequence[str]) -> None:
    """Refuse images and masks that have no end or are no images, which would be met in the middle of a training.

    Only the first and last bytes of files are read, and the complete file where they are not the usual ones.

    Raises:
        DataError: the number of files, an example, and what to do.
    """
    cut = []
    for path, suspect in zip(paths, in_parallel(looks_damaged, paths, WORKERS, "ends", bar=len(paths) > MANY)):
        if suspect:
            try:
                read_picture(path, decode=True)
            except UNREADABLE as error:
                cut.append((path, why_unreadable(error, path)))
    if cut:
        path, reason = cut[0]
        raise DataError(
            f"{where}: {len(cut)} of {len(paths)} files cannot be read, for instance {path}: {reason}. "
            f"'{program('check-dataset')} CONFIG' lists all"
        )


def refuse_strays(where: str, found: Sequence[Finding], settings: DataCheck) -> None:
    """Refuse, or log, what ``stray_files`` found.

    Raises:
        DataError: the first kind, with the number of files, an example, and what to do.
    """
    for kind, (meaning, cure) in STRAYS.items():
        paths = [finding.path for finding in found if finding.kind == kind]
        if paths:
            detail = next(finding.detail for finding in found if finding.kind == kind)
            example = f"{paths[0]} ({detail})" if kind == "listed twice" else paths[0]
            problem = f"{where}: {len(paths)} {meaning}, for instance {example}; {cure}"
            if settings.files == "refuse":
                raise DataError(f"{problem}. If they are meant so: --cfg-options data_check.files=warn")
            logger.warning("%s", problem)


def renamed(paths: Iterable[str]) -> dict[str, str]:
    """Describe, for each missing file, the similar one in its place, if there is one."""
    found = same_names(path for path in paths if not osp.exists(path))
    advice = "rename it, or set img_suffix or seg_map_suffix"
    return {path: f" (there is {there}: {advice})" for path, there in found.items()}


def file_size(path: str) -> Optional[int]:
    """Return the bytes of a file; None where there is none.

    Raises:
        DataError: a folder above it may not be read.
    """
    try:
        found = os.stat(path)
    except PermissionError as error:
        raise DataError(f"{error.filename!r} may not be read ({error.strerror}); change its permissions") from error
    except (OSError, ValueError):  # no such file, or a name that no file can have: too long, with a null character
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None
