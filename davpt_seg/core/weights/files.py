"""Tensors of a weights file by their dotted names, and clear words where it is no such file."""

from __future__ import annotations

import contextlib
import logging
import pickle
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ...errors import InputError, some
from .checksum import differs
from .damage import is_zip, zip_damage
from .impostors import impostor
from .unpickling import NAMES, MoreThanDataError, load_as_data

logger = logging.getLogger("davpt_seg")

MOST_NESTED = 50
TORCH_ENDINGS = (".pth", ".pt", ".bin", ".tar", ".ckpt")
ENDINGS = (".safetensors", ".npz", *TORCH_ENDINGS)
# What torch.load is seen to raise on files that are cut off, or that never were a checkpoint.
UNREADABLE = (
    pickle.UnpicklingError,
    struct.error,
    RuntimeError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    MemoryError,
)


def checked_path(path: Union[str, Path]) -> Path:
    """Return the path of a file that may hold weights.

    Raises:
        InputError: no such file (of a folder, the message lists the files in it), another ending, an empty file, or
            what is no weights file: a web page, a Git LFS pointer, ...
    """
    path = Path(path)
    if path.is_dir():
        inside = sorted(file.name for file in path.iterdir() if file.suffix in ENDINGS)
        raise InputError(
            f"weights file {str(path)!r} is a folder; give a file in it, of these: {some(inside) or 'none'}"
        )
    if not path.is_file():
        raise InputError(f"weights file {str(path)!r} does not exist (seen from {Path.cwd()})")
    if not path.stat().st_size:
        raise InputError(f"weights file {str(path)!r} is empty; the download or copy failed, get it again")
    if what := impostor(path):
        raise InputError(f"weights file {str(path)!r} {what}")
    if path.suffix not in ENDINGS:
        raise InputError(f"weights file {str(path)!r} must end in one of {', '.join(ENDINGS)}")
    return path


def read_tensors(path: Union[str, Path], trust_pickle: bool = False) -> dict[str, Tensor]:
    """Read all tensors of a ``.safetensors`` or torch file; nested dicts are joined by dots: ``model.cls_token``.

    Args:
        path: the file.
        trust_pickle: let the file's pickle run whatever code it names. Only for files whose maker you trust.

    Raises:
        InputError: see :func:`checked_path`.
        ValueError: a damaged file, or one that holds more than plain tensors while ``trust_pickle`` is not set.
    """
    path = checked_path(path)
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    return dict(_flatten(_read_pickle(path, trust_pickle), path))


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
        tensors = safetensors.torch.load_file(path)
    except SafetensorError as error:
        raise InputError(f"weights file {str(path)!r} is not an intact safetensors file: {error}") from error
    if differs(tensors, metadata):
        raise InputError(f"weights file {str(path)!r} is damaged: its checksum is wrong; make or copy it again")
    return tensors


def _flatten(entry: object, path: Path, name: str = "", depth: int = 0) -> Iterator[tuple[str, Tensor]]:
    if isinstance(entry, Tensor):
        yield name, entry
    elif isinstance(entry, (Mapping, nn.Module)):
        if depth > MOST_NESTED:
            raise InputError(f"weights file {str(path)!r} nests more than {MOST_NESTED} dicts; it is no state dict")
        items = entry.state_dict() if isinstance(entry, nn.Module) else entry
        for key, value in items.items():
            if isinstance(key, str):  # an optimizer's state is keyed by numbers
                yield from _flatten(value, path, f"{name}.{key}" if name else key, depth + 1)


def _read_pickle(path: Path, trust_pickle: bool) -> Any:
    if is_zip(path) and (reason := zip_damage(path)):
        raise InputError(f"weights file {str(path)!r} is broken or cut off, get it again: it {reason}")
    try:
        if trust_pickle:
            logger.warning("Reading %s with trust_pickle: code that it names may run", path)
            return torch.load(path, map_location="cpu", weights_only=False)
        return load_as_data(str(path))
    except ImportError as error:
        raise InputError(
            f"weights file {str(path)!r} holds objects of a package that is not here ({error}); install it, or save "
            "the state dict alone where it is"
        ) from error
    except UNREADABLE as error:
        if trust_pickle and isinstance(error, AttributeError):
            raise InputError(
                f"weights file {str(path)!r} holds objects that their package no longer has ({error}); install the "
                "version that wrote them, or save the state dict alone where it is"
            ) from error
        refused = [] if trust_pickle else refused_names(path, error)
        if refused:
            raise InputError(
                f"weights file {str(path)!r} holds more than plain tensors, and reading it could run code; refused: "
                f"{some(refused)}. If you trust its maker: weights=dict(path={str(path)!r}, trust_pickle=True) "
                "in a config, --trust-pickle of tools/model_converters/to_timm.py"
            ) from error
        raise InputError(
            f"weights file {str(path)!r} is broken or cut off, get it again: {telling_line(error)}"
        ) from error


def refused_names(path: Path, error: BaseException) -> list[str]:
    """Return the names of what the safe reader refused; none if it failed for another reason."""
    if "TorchScript" in str(error):
        return ["a TorchScript archive, which is a program"]
    if isinstance(error, MoreThanDataError):
        return [str(error)]
    if not isinstance(error, pickle.UnpicklingError):
        return []
    named = re.findall(r"GLOBAL ([\w.]+)", str(error))
    with contextlib.suppress(ValueError):  # a legacy file: only the first refused name is known
        named += torch.serialization.get_unsafe_globals_in_checkpoint(path)
    with path.open("rb") as file:
        if not named and file.read(1) == pickle.PROTO:
            return [f"a pickle that was not written by torch.save ({telling_line(error)})"]
    return sorted(set(named) - set(NAMES))


def telling_line(error: BaseException) -> str:
    """Return the line of torch's long messages that says what is wrong."""
    lines = [line for line in str(error).rpartition("WeightsUnpickler error:")[2].splitlines() if line.strip()]
    return lines[0].strip() if lines else type(error).__name__
