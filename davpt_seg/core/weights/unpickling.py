"""Torch files read as data: tensors, plain values and what MMEngine writes beside them; no code of a file runs.

torch's safe reader takes a class by its name. Here the names in MMEngine's checkpoints mean classes of this module, so
that a file reaches neither MMEngine nor ``getattr`` nor NumPy's constructors. ``builtins.getattr`` serves the names of
MMEngine's statistics and no other. ``numpy.ndarray`` makes arrays of numbers and no other: NumPy's own would take bytes
of a file for addresses of objects. Nothing is added to torch's list of safe globals for longer than a read.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Union

import numpy as np
import torch
from torch import Tensor

from ...errors import InputError

STATISTICS = ("min", "max", "mean", "current")
MOST_PRETENDED = 2**30  # bytes of a tensor whose storage is smaller, as of one that was expanded
CODES = ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "b1")  # of NumPy's numbers, as it pickles them
_reading = threading.RLock()


class MoreThanDataError(ValueError):
    """A file that asks for more than data; the message names it.

    Apart from InputError because no user sees it: ``files`` and ``trust`` list the name with what torch itself refused.
    """


class History:
    """Values of MMEngine's ``HistoryBuffer``, as a checkpoint holds them.

    Attributes:
        values: (N,) logged values.
        counts: (N,) their weights.
        max_length: largest N.
    """

    __slots__ = ("counts", "max_length", "values")  # a Namespace of a file cannot become one
    values: np.ndarray
    counts: np.ndarray
    max_length: int

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.values, self.counts = np.asarray(state["_log_history"]), np.asarray(state["_count_history"])
        self.max_length = state["max_length"]
        arrays = (self.values, self.counts)
        if not all(array.dtype.kind in "biuf" for array in arrays):
            raise InputError("a logged history holds no arrays of numbers")
        if self.values.ndim != 1 or self.values.shape != self.counts.shape or type(self.max_length) is not int:
            raise InputError("a logged history holds arrays of different lengths")


def _statistic(owner: Any, name: Any) -> str:
    """Take the place of ``getattr``: MMEngine pickles the statistics of a history as its methods, by name."""
    if owner is not History or name not in STATISTICS:
        kind = "HistoryBuffer" if owner is History else str(owner)[:80]
        raise MoreThanDataError(f"the attribute {str(name)[:80]!r} of {kind}")
    return name


class _Dtype:
    """Take the place of ``numpy.dtype``: types of numbers, without fields, parts or flags."""

    __slots__ = ("value",)
    value: np.dtype

    def __init__(self, code: Any, align: bool = False, copy: bool = False) -> None:
        if code not in CODES:
            raise MoreThanDataError(f"an array of type {str(code)[:80]!r}")
        self.value = np.dtype(code)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, order, *further = state
        if further != [None, None, None, -1, -1, 0]:
            raise MoreThanDataError(f"an array of type {self.value} with {str(further)[:80]}")
        self.value = self.value.newbyteorder(order)


class _Array(np.ndarray):
    """Take the place of ``numpy.ndarray``: an array of numbers, filled once."""

    def __new__(cls, *_: Any) -> _Array:
        raise MoreThanDataError("a call of numpy.ndarray")

    def __setstate__(self, state: tuple[Any, ...]) -> None:  # type: ignore[override]
        _, shape, dtype, fortran, content = state
        if type(dtype) is not _Dtype or type(content) is not bytes or self.size:
            raise MoreThanDataError("an array of more than numbers")
        super().__setstate__((1, shape, dtype.value, fortran, content))  # type: ignore[arg-type]


def _reconstruct(kind: Any, *_: Any) -> _Array:
    """Make the empty array that its state fills."""
    if kind is not _Array:
        raise MoreThanDataError(f"an array of kind {str(kind)[:80]}")
    return np.ndarray.__new__(_Array, (0,), np.uint8)


def _scalar(dtype: Any, content: Any) -> np.generic:
    if type(dtype) is not _Dtype or type(content) is not bytes or len(content) != dtype.value.itemsize:
        raise MoreThanDataError("a number of NumPy that is none")
    return np.frombuffer(content, dtype.value)[0]


def _names() -> dict[str, Callable]:
    names: dict[str, Callable] = {
        "mmengine.logging.history_buffer.HistoryBuffer": History,
        "builtins.getattr": _statistic,
        "argparse.Namespace": argparse.Namespace,  # plain values that DINO, MAE and timm save beside the weights
        "numpy.ndarray": _Array,
        "numpy.dtype": _Dtype,
    }
    for core in ("core", "_core"):  # checkpoints travel between numpy 1 and numpy 2
        names[f"numpy.{core}.multiarray._reconstruct"] = _reconstruct
        names[f"numpy.{core}.multiarray.scalar"] = _scalar
    return names


NAMES = _names()


@contextmanager
def _only_for_now() -> Iterator[None]:
    """Let torch's safe reader know the names of this module, in the place of what else is allowed under them.

    ``safe_globals`` adds entries when it is entered and removes these, and no others, when it is left: what another
    thread allows meanwhile stays. Entries of the user under the same names are taken out by the reverse, because torch
    chooses among entries of one name by chance.
    """
    with _reading:
        same = [entry for entry in torch.serialization.get_safe_globals() if _name(entry) in NAMES]
        replaced = torch.serialization.safe_globals(same)
        replaced.__exit__(None, None, None)
        try:
            with torch.serialization.safe_globals([(value, name) for name, value in NAMES.items()]):
                yield
        finally:
            replaced.__enter__()


def _name(entry: Any) -> str:
    return entry[1] if isinstance(entry, tuple) else f"{entry.__module__}.{entry.__qualname__}"


def load_as_data(file: Union[str, IO[bytes]], map_location: Any = "cpu") -> Any:
    """Read what ``torch.save`` wrote; tensors, plain values, numpy's arrays and numbers, and :class:`History`.

    Args:
        file: a path, or an open file.
        map_location: ``torch.load``'s.

    Raises:
        pickle.UnpicklingError, MoreThanDataError: more than that, with the name of what was refused.
        ValueError: a torch whose safe reader is not safe, or tensors that pretend to be larger than their storage.
        See :data:`~davpt_seg.core.weights.files.UNREADABLE` for what torch raises on files that are cut off.
    """
    if torch.__version__ < "2.6":  # a TorchVersion, which compares as a version
        raise InputError(
            f"torch {torch.__version__} runs code of a file even with weights_only=True (CVE-2025-32434); install "
            "torch>=2.6, best torch>=2.10"
        )
    with _only_for_now():
        content = torch.load(file, map_location=map_location, weights_only=True)
    for name, tensor in tensors_of(content):
        if tensor.is_meta:
            raise InputError(f"its tensor {name!r} has no values (torch's meta device)")
        size = tensor.numel() * tensor.element_size()
        if tensor.layout == torch.strided and size > max(tensor.untyped_storage().nbytes(), MOST_PRETENDED):
            raise InputError(f"its tensor {name!r} of shape {tuple(tensor.shape)} is larger than what the file holds")
    return content


def tensors_of(content: Any, name: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield all tensors of nested dicts, lists and tuples, with their places; each container once.

    Works without recursion, because a file may nest as deep as it likes, or contain itself.
    """
    seen: set[int] = set()
    waiting = [(name, content)]
    while waiting:
        name, entry = waiting.pop()
        if isinstance(entry, Tensor):
            yield name, entry
        elif isinstance(entry, (dict, list, tuple)) and id(entry) not in seen:
            seen.add(id(entry))
            items = entry.items() if isinstance(entry, dict) else enumerate(entry)
            waiting += [(f"{name}.{key}".lstrip("."), value) for key, value in reversed(list(items))]
