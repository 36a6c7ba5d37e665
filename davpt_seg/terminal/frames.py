"""Where an exception comes from: this package and its libraries, or files of the user."""

from __future__ import annotations

import re
import sysconfig
import traceback
from pathlib import Path
from types import FrameType
from typing import Optional

OURS = ("davpt_seg", "mmengine", "mmcv", "mmseg", "mmpretrain", "mmdet")  # often installed outside of the rest
IN_TEXT = re.compile(r'File "(.+?)", line (\d+)')
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
        place = place or _place_in_worker(str(error))
        error = error.__cause__ or error.__context__
    return place


def _place_in_worker(text: str) -> str:
    """Return the last place in a custom file of a traceback as text, which torch passes on from a data worker."""
    found = IN_TEXT.findall(text) if "in DataLoader worker process" in text else []
    custom = [f"{file}:{line}" for file, line in found if not file.startswith(("<", *INSTALLED)) and not _is_ours(file)]
    return custom[-1] if custom else ""


def _is_ours(file: str) -> bool:
    return any(part in OURS for part in Path(file).parts)


def last_place(error: BaseException) -> str:
    """Return ``FILE:LINE`` where an exception was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else "an unknown place"


def _is_custom(frame: FrameType) -> bool:
    file, module = frame.f_code.co_filename, str(frame.f_globals.get("__name__"))
    if file.endswith((".pyx", ".pxd")):  # compiled by Cython, which keeps no folder
        return False
    return not (file.startswith(("<", *INSTALLED)) or module.partition(".")[0] in OURS)
