"""Checkpoints: intact files only, read as data only, with values that a training can leave."""

from __future__ import annotations

import os.path as osp
from collections import deque
from pathlib import Path
from typing import IO, Any, Optional

from mmengine.logging import print_log

from ..core.weights.damage import is_zip, zip_damage
from ..core.weights.files import UNREADABLE, refused_names, telling_line
from ..core.weights.unpickling import load_as_data, tensors_of
from ..core.weights.values import faults, some
from ..errors import InputError
from .config_check import check_config
from .config_text import evaluate
from .history import from_plain


def read(path: str, map_location: Any = "cpu", content: Optional[IO[bytes]] = None) -> Any:
    """Read a checkpoint, of MMEngine or another; as data, whatever it is.

    Args:
        path: the file, or the name for messages where ``content`` is given.
        map_location: as of ``torch.load``.
        content: the file's bytes.

    Raises:
        InputError: no such file, a damaged one, one that holds more than data, or weights that nothing trained.
    """
    if content is None and not osp.isfile(path):
        raise InputError(f"checkpoint {path!r} does not exist; tools/train.py writes them to its work dir")
    if content is None and not osp.getsize(path):
        raise InputError(f"checkpoint {path!r} is empty; copy it again")
    source = path if content is None else content
    if is_zip(source) and (reason := zip_damage(source)):
        raise InputError(f"checkpoint {path!r} {reason}; copy it again, or take another one")
    try:
        found = load_as_data(source, map_location)
        if isinstance(found, dict) and isinstance(found.get("message_hub"), dict):
            found["message_hub"] = from_plain(found["message_hub"])
    except (ImportError, *UNREADABLE) as error:
        refused = refused_names(Path(path), error) if content is None else []
        if refused:
            reason = f"holds more than data, which is not run: {', '.join(refused)}"
        else:
            reason = f"is broken, no checkpoint, or holds more than data, which is not run: {_own_words(error)}"
        raise InputError(f"checkpoint {path!r} {reason}") from error
    weights = dict(tensors_of(found.get("state_dict", found) if isinstance(found, dict) else found))
    if wrong := faults(weights):
        raise InputError(
            f"checkpoint {path!r} holds weights that no training leaves: {some(wrong)}. It was written by a training "
            "that diverged, or is damaged; take an earlier one"
        )
    return found


def _own_words(error: BaseException) -> str:
    """Return what torch says is wrong, without its advice to read the file unsafely."""
    line = telling_line(error)
    return line.partition("Please use `torch")[0].partition("Re-running `torch")[0].strip() or type(error).__name__


def for_mmengine(checkpoint: Any, path: str) -> Any:
    """Take out of a checkpoint, in place, what MMEngine would run, or delete files by.

    MMEngine runs the config texts in a checkpoint as Python: ``meta.config`` when it resumes, ``meta.cfg`` and the one
    in the message hub where an inferencer is given no config. It deletes the files that ``best_ckpt`` and
    ``keep_ckpt_ids`` name when it writes better or newer ones.
    """
    meta, known = _dict_in(checkpoint, "meta"), _dict_in(_dict_in(checkpoint, "message_hub"), "runtime_info")
    for place, key in ((meta, "config"), (meta, "cfg"), (known, "cfg")):
        if key in place and (reason := _runs(place[key])):
            del place[key]
            print_log(f"The config inside {path} is not used: {reason}", logger="current")
    for key in list(known):
        if not _is_beside(key, known[key], path):
            print_log(f"{key} inside {path} is not used: it names files elsewhere", logger="current")
            del known[key]
    return checkpoint


def _dict_in(content: Any, key: str) -> dict[str, Any]:
    """Return the dict under a key; an empty one where there is none."""
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _runs(text: Any) -> str:
    """Return why MMEngine must not evaluate a config's text; nothing where it may."""
    try:
        check_config(evaluate(text))
    except InputError as error:
        return str(error)
    return "it holds a template, {{...}}" if "{{" in text else ""


def _is_beside(key: str, value: Any, path: str) -> bool:
    """Return whether what MMEngine would delete are numbered checkpoints, or best ones beside this file."""
    if key == "keep_ckpt_ids":
        return isinstance(value, (list, tuple, deque)) and all(type(number) is int for number in value)
    if key.startswith("best_ckpt") and isinstance(value, str):
        is_best = osp.basename(value).startswith("best_") and value.endswith(".pth")
        return is_best and osp.dirname(osp.realpath(value)) == osp.dirname(osp.realpath(path))
    return not key.startswith("best_ckpt") or value is None
