"""Where an exception comes from: this package and its libraries, or files of the user."""

from __future__ import annotations

import sysconfig
import traceback
from types import FrameType
from typing import Optional

OURS = ("davpt_seg", "mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet")  # often installed outside of the rest
INSTALLED = tuple(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib"))


def custom_place(error: Optional[BaseException]) -> str:
    """Return the last ``FILE:LINE`` of an exception, or of its causes, in a file that is not installed; or ''.

    Such a file is a module of the user, for instance one that a config imports. Scripts of a checkout's ``tools/`` run
    as ``__main__`` and hold nothing but a call.
    """
    place = ""
    while error is not None and not place:
        for frame, line in traceback.walk_tb(error.__traceback__):
            if _is_custom(frame):
                place = f"{frame.f_code.co_filename}:{line}"
        error = error.__cause__ or error.__context__
    return place


def last_place(error: BaseException) -> str:
    """Return ``FILE:LINE`` where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


def _is_custom(frame: FrameType) -> bool:
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
    if file.endswith((".pyx", ".pxd")):  # compiled by Cython, which keeps no folder
        return False
    return not (file.startswith(("<", *INSTALLED)) or module.partition(".")[0] in OURS)
