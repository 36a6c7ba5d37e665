"""Reading of MATLAB's ``.mat`` files from releases, which may be damaged."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import scipy.io
from scipy.io.matlab import MatReadError

from ..errors import DataError

# Errors of scipy for files that are cut off, changed, or in MATLAB 7.3's format (NotImplementedError).
DAMAGED = (
    *(OSError, ValueError, TypeError, LookupError, NotImplementedError, EOFError, MemoryError, OverflowError),
    *(AttributeError, AssertionError, struct.error, zlib.error, MatReadError),
)


def read_mat(path: Path, key: str, squeeze: bool = False) -> Any:
    """Return a variable of a ``.mat`` file.

    Args:
        path: file.
        key: name of the variable.
        squeeze: remove dimensions of one entry.

    Raises:
        DataError: a file that cannot be read, or one without the variable.
        FileNotFoundError: no file.
    """
    try:
        content = scipy.io.loadmat(path, appendmat=False, squeeze_me=squeeze)
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); it is cut off or damaged: unpack it again") from error
    if key not in content:
        there = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise DataError(f"{path}: has no {key}, only {there}; is it the official file? Unpack it again")
    return content[key]
