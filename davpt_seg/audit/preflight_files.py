"""Check, before training, for files that are read and should not be, and the reverse."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from ..errors import DataError
from .data_check import DataCheck
from .findings import Finding

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
    "lossy": (
        "masks are JPEG, which changes labels along every border",
        "make the masks again from their source, as PNG",
    ),
}


def refuse_strays(where: str, found: Sequence[Finding], settings: DataCheck) -> None:
    """Refuse, or log, what ``stray_files`` found.

    Raises:
        DataError: the first kind, with the number of files, an example, and what to do.
    """
    for kind, (meaning, cure) in STRAYS.items():
        paths = [finding.path for finding in found if finding.kind == kind]
        if paths:
            problem = f"{where}: {len(paths)} {meaning}, for instance {paths[0]}; {cure}"
            if settings.files == "refuse":
                raise DataError(f"{problem}. If they are meant so: --cfg-options data_check.files=warn")
            logger.warning("%s", problem)
