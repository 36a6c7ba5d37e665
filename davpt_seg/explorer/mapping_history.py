"""Class-to-prompt mapping over the training of a checkpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Optional, Union

from ..core.adapter_folder.places import is_folder
from ..core.guidance.mapping_log import FILE_NAME, Clustering, read_clusterings


def mapping_history(checkpoint: Union[str, os.PathLike[str]]) -> Optional[list[Clustering]]:
    """Return the clusterings of a checkpoint's training; None if its folder has no log of them.

    Args:
        checkpoint: checkpoint file in the folder of its training; an adapter folder has no log.

    Raises:
        InputError: the log is broken.
    """
    log = Path(checkpoint).parent / FILE_NAME
    if is_folder(checkpoint) or not log.is_file():
        return None
    return read_clusterings(log)
