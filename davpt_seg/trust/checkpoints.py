"""Checkpoints: intact files only, read as data only, with values that a training can leave."""

from __future__ import annotations

import os.path as osp
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Optional

from ..core.weights.damage import is_zip, zip_damage
from ..core.weights.files import UNREADABLE, refused_names, telling_line
from ..core.weights.impostors import impostor
from ..core.weights.unpickling import load_as_data, tensors_of
from ..core.weights.values import faults, not_finite
from ..errors import InputError, some
from .history import from_plain

WRAPPER = "module."


def read(path: str, map_location: Any = "cpu", content: Optional[IO[bytes]] = None) -> Any:
    """Read a checkpoint, of MMEngine or another; as data, whatever it is.

    Names of weights lose the prefix ``module.`` of a model that was saved inside DistributedDataParallel.

    Args:
        path: the file, or the name for messages where ``content`` is given.
        map_location: ``torch.load``'s.
        content: the file's bytes.

    Raises:
        InputError: no such file, a damaged one, one that holds more than data, or weights that nothing trained.
    """
    if content is None and not osp.isfile(path):
        raise InputError(f"checkpoint {path!r} does not exist; a training writes them to its work dir")
    if content is None and not osp.getsize(path):
        raise InputError(f"checkpoint {path!r} is empty; copy it again")
    source = path if content is None else content
    if what := impostor(source) or other_weights(path):
        raise InputError(f"checkpoint {path!r} {what}")
    if is_zip(source) and (reason := zip_damage(source)):
        raise InputError(f"checkpoint {path!r} {reason}; copy it again, or take another one")
    try:
        found = load_as_data(source, map_location)
        if isinstance(found, dict) and isinstance(found.get("message_hub"), dict):
            found["message_hub"] = from_plain(found["message_hub"])
    except (ImportError, *UNREADABLE) as error:
        refused = refused_names(Path(path), error) if content is None else []
        if refused:
            reason = f"holds more than data, which is not run: {some(refused)}"
        else:
            reason = f"is broken, no checkpoint, or holds more than data, which is not run: {_own_words(error)}"
        raise InputError(f"checkpoint {path!r} {reason}") from error
    if isinstance(found, dict):
        if isinstance(found.get("state_dict"), Mapping):
            found["state_dict"] = _without_wrapper(found["state_dict"], path)
        elif "state_dict" not in found:
            found = _without_wrapper(found, path)
    _require_trained(found.get("state_dict", found) if isinstance(found, dict) else found, path)
    return found


def _require_trained(weights: Any, path: str, what: str = "weights") -> None:
    if wrong := faults(dict(tensors_of(weights))):
        raise InputError(
            f"checkpoint {path!r} holds {what} that no training leaves: {some(wrong)}. It was written by a training "
            "that diverged, or is damaged; take an earlier one"
        )


def require_averaged(checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse a checkpoint whose second set of weights, which ``EMAHook`` reads, has values that no training leaves.

    Raises:
        InputError: such weights, by name.
    """
    _require_trained(checkpoint.get("ema_state_dict"), path, "weights in ema_state_dict, for EMAHook,")


def require_finite_optimizer(checkpoint: Mapping[str, Any], path: str) -> None:
    """Refuse to resume from an optimizer's state that is not finite: the first step would spoil all weights.

    Raises:
        InputError: such values, by place.
    """
    if wrong := not_finite(tensors_of(checkpoint.get("optimizer"))):
        raise InputError(
            f"checkpoint {path!r} holds an optimizer's state with NaN or infinite values: {some(wrong)}. It was "
            "written by a training that diverged, or is damaged; take an earlier one, or its weights alone: "
            f"load_from={path}"
        )


def _without_wrapper(weights: Mapping[Any, Any], path: str) -> Mapping[Any, Any]:
    """Return weights without the prefix that DistributedDataParallel gives their names; MMEngine removes it, too."""
    if not any(isinstance(name, str) and name.startswith(WRAPPER) for name in weights):
        return weights
    names = {name: name.removeprefix(WRAPPER) if isinstance(name, str) else name for name in weights}
    twice = [own for name, own in names.items() if own != name and own in weights]
    if twice:
        raise InputError(f"checkpoint {path!r} holds weights twice, with and without {WRAPPER!r}: {some(twice)}")
    renamed = OrderedDict((names[name], value) for name, value in weights.items())
    if hasattr(weights, "_metadata"):
        renamed._metadata = weights._metadata  # type: ignore[attr-defined]  # versions of modules, which torch reads
    return renamed


def other_weights(path: str) -> str:
    """Describe a file of weights alone, by its name; return nothing for another file."""
    if not path.endswith((".safetensors", ".npz")):
        return ""
    return (
        "is a file of weights alone, not a checkpoint of a training; a ViT's belong in "
        f"model.backbone.weights={path} (docs/weights.md)"
    )


def _own_words(error: BaseException) -> str:
    """Return what torch says is wrong, without its advice to read the file unsafely."""
    line = telling_line(error)
    return line.partition("Please use `torch")[0].partition("Re-running `torch")[0].strip() or type(error).__name__
