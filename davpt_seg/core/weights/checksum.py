"""A checksum of named tensors, which our own .safetensors files carry in their metadata."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Optional

import torch
from torch import Tensor

KEY = "checksum"


def checksum(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and values."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        value = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def with_checksum(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the metadata of a ``.safetensors`` file with the checksum of its tensors."""
    return {**metadata, KEY: checksum(tensors)}


def differs(tensors: Mapping[str, Tensor], metadata: Optional[Mapping[str, str]]) -> bool:
    """Return whether a file's tensors are not those that its checksum was computed of; False without a checksum."""
    expected = (metadata or {}).get(KEY)
    return expected is not None and expected != checksum(tensors)
