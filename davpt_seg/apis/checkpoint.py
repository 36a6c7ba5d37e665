"""What a checkpoint of tools/train.py holds besides numbers: its config and its classes."""

from __future__ import annotations

import ast
import os.path as osp
from collections.abc import Mapping
from typing import Any

import numpy as np
from mmengine.config import Config
from mmengine.runner import CheckpointLoader
from torch import nn

from ..core.weights import UNREADABLE
from ..errors import InputError

# A config as MMEngine writes it out: names given literals, and calls of dict.
PLAIN = (
    *(ast.Module, ast.Assign, ast.Name, ast.Store, ast.Load, ast.Call, ast.keyword, ast.Constant),
    *(ast.List, ast.Tuple, ast.Dict, ast.UnaryOp, ast.USub),
)


def read_checkpoint(path: str) -> Mapping[str, Any]:
    """Read a checkpoint that MMEngine wrote, to the CPU.

    Raises:
        InputError: no such file, no checkpoint, or one without a model's weights.
    """
    if not osp.isfile(path):
        raise InputError(f"checkpoint {path!r} does not exist; tools/train.py writes them to its work dir")
    try:
        checkpoint = CheckpointLoader.load_checkpoint(path, map_location="cpu")
    except UNREADABLE as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"checkpoint {path!r} is broken, or no checkpoint: {reason}") from error
    if not isinstance(checkpoint, Mapping) or "state_dict" not in checkpoint:
        raise InputError(f"checkpoint {path!r} holds no 'state_dict'; give a .pth file that tools/train.py wrote")
    return checkpoint


def embedded_config(checkpoint: Mapping[str, Any], path: str) -> Config:
    """Read the config that a checkpoint was trained with, from the checkpoint itself.

    It is Python, so whatever is more than names and plain values is refused: a stranger's checkpoint runs no code.

    Raises:
        InputError: there is none, or it does more than a config that MMEngine wrote out.
    """
    text = checkpoint.get("meta", {}).get("cfg")
    if not text:
        raise InputError(f"checkpoint {path!r} holds no config; give it before the checkpoint: CONFIG CHECKPOINT")
    if not is_plain(text):
        raise InputError(
            f"the config inside checkpoint {path!r} holds code, so it is not run; give one that you trust before the "
            "checkpoint: CONFIG CHECKPOINT"
        )
    return Config.fromstring(text, file_format=".py")


def is_plain(config: str) -> bool:
    """Tell whether a config's text only names literals, lists, tuples and dicts, and inherits from no file."""
    try:
        tree = ast.parse(config)
    except SyntaxError:
        return False
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return (
        all(isinstance(node, PLAIN) for node in ast.walk(tree))
        and all(isinstance(function, ast.Name) and function.id == "dict" for function in called)
        and not names & {"dict", "_base_"}
    )


def class_names_and_colours(checkpoint: Mapping[str, Any], path: str) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the names of the C classes that a checkpoint was trained on, and their colours (C, 3) in 0..255.

    Raises:
        InputError: the checkpoint does not say.
    """
    meta = checkpoint.get("meta", {}).get("dataset_meta") or {}
    if not meta.get("classes") or not meta.get("palette"):
        raise InputError(f"checkpoint {path!r} names no classes and colours (meta.dataset_meta); train.py's do")
    return tuple(meta["classes"]), np.asarray(meta["palette"], dtype=np.uint8)


def load_strictly(model: nn.Module, checkpoint: Mapping[str, Any], path: str, config: str) -> None:
    """Give a model a checkpoint's weights, every one of them and no other.

    Raises:
        InputError: a weight is missing, left over or of another shape.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"], strict=True)
    except RuntimeError as error:
        raise InputError(mismatch(error, path, config)) from error


def mismatch(error: RuntimeError, path: str, config: str) -> str:
    """Shorten what torch says of a checkpoint that is not a model's."""
    lines = [line[:300] for line in str(error).splitlines()]
    more = [f"... and {len(lines) - 6} lines like these"] * (len(lines) > 6)
    return "\n".join([f"checkpoint {path!r} is not of {config}:", *lines[1:6], *more])
