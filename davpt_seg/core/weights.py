"""Weights of the trunk from a local file with timm's names, strictly."""

from __future__ import annotations

import logging
import pickle
import struct
from pathlib import Path
from typing import Any, Union, cast

import safetensors.torch
import torch
from safetensors import SafetensorError
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

logger = logging.getLogger("davpt_seg")

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
    AssertionError,
)


def read_state_dict(path: Union[str, Path]) -> dict[str, Tensor]:
    """Read a flat dict of tensors from a ``.safetensors``, ``.pth``, ``.pt`` or ``.bin`` file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: another ending, a broken or unsafe file, or something other than a flat dict of tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights file {str(path)!r} does not exist; give the path of a timm-named checkpoint")
    if path.suffix == ".safetensors":
        try:
            return safetensors.torch.load_file(path)
        except SafetensorError as error:
            raise ValueError(f"weights file {str(path)!r} is not a whole safetensors file: {error}") from error
    if path.suffix not in (".pth", ".pt", ".bin"):
        raise ValueError(f"weights file {str(path)!r} must end in .safetensors, .pth, .pt or .bin")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE as error:
        raise ValueError(f"weights file {str(path)!r} is broken, or holds more than plain tensors: {error}") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        keys = list(state)[:5] if isinstance(state, dict) else type(state).__name__
        raise ValueError(
            f"weights file {str(path)!r} must hold a flat dict of timm parameter names to tensors, but holds {keys}; "
            "save the inner state dict alone"
        )
    return state


def load_weights(trunk: VisionTransformer, path: Union[str, Path]) -> None:
    """Load a timm-named file into a timm ViT that has no classifier, strictly but for the file's own classifier.

    Raises:
        FileNotFoundError, ValueError: see :func:`read_state_dict`.
        ValueError: missing or unexpected keys or other shapes; all are listed.
    """
    state = read_state_dict(path)
    description = cast(dict[str, Any], trunk.pretrained_cfg)
    classifier = description.get("classifier") or "head"
    names = (classifier,) if isinstance(classifier, str) else tuple(classifier)
    dropped = [key for key in state if key.rpartition(".")[0] in names]
    state = {key: value for key, value in state.items() if key not in dropped}
    wanted = trunk.state_dict()
    problems = {
        "missing": sorted(wanted.keys() - state.keys()),
        "unexpected": sorted(state.keys() - wanted.keys()),
        "of another shape": [
            f"{key} {tuple(state[key].shape)} instead of {tuple(wanted[key].shape)}"
            for key in wanted.keys() & state.keys()
            if state[key].shape != wanted[key].shape
        ],
    }
    if any(problems.values()):
        listed = "\n".join(f"  {kind} ({len(keys)}): {', '.join(keys)}" for kind, keys in problems.items() if keys)
        raise ValueError(
            f"weights file {str(path)!r} does not fit {description.get('architecture', 'the trunk')}; "
            f"check model_name\n{listed}"
        )
    trunk.load_state_dict(state, strict=True)
    logger.info("Loaded %d tensors from %s%s", len(state), path, f" (classifier {dropped} left out)" if dropped else "")
