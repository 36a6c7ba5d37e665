"""Reading of MATLAB's ``.mat`` files from releases, which may be damaged."""

from __future__ import annotations

import struct
import zlib
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_all_start_methods, get_context
from pathlib import Path
from typing import Any

import scipy.io
from scipy.io.matlab import MatReadError

from ..errors import DataError

# Errors of scipy for files that are cut off, changed, or in MATLAB 7.3's format (NotImplementedError).
DAMAGED = (
    *(OSError, ValueError, TypeError, LookupError, NotImplementedError, EOFError, MemoryError, OverflowError),
    *(AttributeError, AssertionError, NameError, struct.error, zlib.error, MatReadError),
)


def read_mat(path: Path, key: str, squeeze: bool = False, cells: bool = False) -> Any:
    """Return a variable of a ``.mat`` file.

    Args:
        path: file.
        key: name of the variable.
        squeeze: remove dimensions of one entry.
        cells: whether the variable has cells or fields. Then the file is read in another process, because scipy's
            reader ends the process (segmentation fault) on some damaged ones.

    Raises:
        DataError: a file that cannot be read, or one without the variable.
        FileNotFoundError: no file.
    """
    try:
        content = _apart(path, squeeze) if cells and "fork" in get_all_start_methods() else _load(path, squeeze)
    except BrokenProcessPool as error:
        raise DataError(f"{path}: cannot be read (scipy's reader crashed); it is damaged: unpack it again") from error
    except FileNotFoundError:
        raise
    except DAMAGED as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path}: cannot be read ({reason}); it is cut off or damaged: unpack it again") from error
    if key not in content:
        there = ", ".join(name for name in content if not name.startswith("__")) or "nothing"
        raise DataError(f"{path}: has no {key}, only {there}; is it the official file? Unpack it again")
    return content[key]


def _apart(path: Path, squeeze: bool) -> dict[str, Any]:
    with ProcessPoolExecutor(1, get_context("fork")) as pool:
        return pool.submit(_load, path, squeeze).result()


def _load(path: Path, squeeze: bool) -> dict[str, Any]:
    return scipy.io.loadmat(path, appendmat=False, squeeze_me=squeeze)
