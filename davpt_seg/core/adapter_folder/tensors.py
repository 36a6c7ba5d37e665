"""``adapter_model.safetensors``: its header first, by which everything is refused that the model has not."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...errors import InputError, some
from ..weights.checksum import checksum
from ..weights.values import faults
from .places import MOST, TENSORS, Place
from .strict_json import parse

MOST_HEADER = 2**20
LENGTH = 8  # bytes that hold the header's length
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16},
    **{"I64": torch.int64, "I32": torch.int32, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool},
}
#: What becomes float32 without loss.
NARROW = (torch.float16, torch.bfloat16)


def read_tensors(place: Place, expected: Mapping[str, Tensor], further: bool, digest: str) -> dict[str, Tensor]:
    """Read the tensors that a model expects, after the file's header was found to hold them and no others.

    Args:
        place: where the file is.
        expected: tensors of the model, by name; on the meta device, only their shapes and types are read.
        further: the file may hold others, of neck and head, which are not returned.
        digest: checksum of all tensors of the file.

    Raises:
        InputError: a file that is cut off or crafted, other names, shapes or types, a wrong checksum, or values that no
            training leaves.
    """
    path, what = place.file(TENSORS), f"{place.name}: {TENSORS}"
    header = _header(path, what)
    names = set(header)
    problems = [f"{name} is missing" for name in sorted(expected.keys() - names)]
    if not further:
        problems += [f"{name[:120]!r} is of no part of the model" for name in sorted(names - expected.keys())]
    problems += [problem for name in sorted(names & expected.keys()) if (problem := _misfit(header, name, expected))]
    if problems:
        raise InputError(f"{what} is not of the model that adapter_config.json describes: {some(problems)}")
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in header}
    except SafetensorError as error:
        raise InputError(f"{what} is cut off or crafted ({error}); get it again") from error
    if checksum(tensors) != digest:
        raise InputError(f"{what} is damaged, or not of this adapter_config.json: its checksum differs; get both again")
    if wrong := faults(tensors):
        raise InputError(f"{what} holds values that no training leaves: {some(wrong)}")
    return {name: tensors[name].to(wanted.dtype, copy=True) for name, wanted in expected.items()}  # not of the file


def _header(path: Path, what: str) -> dict[str, Any]:
    """Return the entries of a safetensors header, each a dict with dtype and shape, after they were found plausible."""
    with open(path, "rb") as file:
        start = file.read(LENGTH)
        length = struct.unpack("<Q", start)[0] if len(start) == LENGTH else 0
        if not 2 <= length <= min(MOST_HEADER, MOST[TENSORS]):
            raise InputError(f"{what} is no safetensors file: its header would have {length:,} bytes; get it again")
        content = file.read(length)
    if len(content) < length:
        raise InputError(f"{what} is cut off in its header; get it again")
    header = parse(content, f"{what}, its header,")
    header.pop("__metadata__", None)
    for name, entry in header.items():
        if (
            not isinstance(entry, dict)
            or entry.keys() != {"dtype", "shape", "data_offsets"}
            or entry["dtype"] not in DTYPES
            or not isinstance(entry["shape"], list)
            or not all(type(size) is int and 0 <= size < 2**40 for size in entry["shape"])
        ):
            raise InputError(f"{what}: {name[:80]!r} is described by {str(entry)[:120]}, which no tensor of ours is")
    return header


def _misfit(header: Mapping[str, Any], name: str, expected: Mapping[str, Tensor]) -> str:
    found, wanted = DTYPES[header[name]["dtype"]], expected[name]
    if tuple(header[name]["shape"]) != tuple(wanted.shape):
        return f"{name} has the shape {tuple(header[name]['shape'])}, the model's has {tuple(wanted.shape)}"
    if found != wanted.dtype and not (wanted.dtype == torch.float32 and found in NARROW):
        return f"{name} is {str(found)[6:]}, the model's is {str(wanted.dtype)[6:]}"
    return ""
