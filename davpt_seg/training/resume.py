"""The checkpoint from which ``--resume`` continues."""

from __future__ import annotations

import logging
import os.path as osp
import pickle
import re
from pathlib import Path
from typing import Optional

import torch

from ..core.weights.damage import BROKEN, zip_damage
from ..core.weights.impostors import impostor
from ..errors import InputError, some
from ..trust.checkpoints import other_weights

logger = logging.getLogger("davpt_seg")


def damage(path: str) -> str:
    """Describe what is wrong with a checkpoint file; return nothing where it is intact. Reads all of it once."""
    if osp.isdir(path):
        last = last_checkpoint(path)
        return f"is a folder; its last checkpoint is {last}" if last else "is a folder without checkpoint"
    if not osp.isfile(path):
        return "does not exist"
    if what := other_weights(path):
        return what
    return impostor(path) or zip_damage(path) or _unreadable(path) if osp.getsize(path) else "is empty"


def _unreadable(path: str) -> str:
    """Describe why torch cannot open a zip archive that Python can, as with a flipped bit in its end record."""
    try:
        torch.load(path, map_location="cpu", mmap=True, weights_only=True)  # reads the names, not the tensors
    except pickle.UnpicklingError:  # it holds more than tensors, which is checked where it is read
        return ""
    except (*BROKEN, TypeError, AttributeError) as error:
        return f"is damaged: torch cannot open it ({str(error).splitlines()[0]})"
    return ""


def checkpoint_to_resume(work_dir: str, wanted: Optional[str] = None) -> Optional[str]:
    """Choose the checkpoint to resume from, and say so loudly where it is not the last one.

    Args:
        work_dir: the run's work dir.
        wanted: a checkpoint that the user named; None for the last one. Addresses (``s3://...``) are not checked.

    Returns:
        Its path; None where the run has not written any yet.

    Raises:
        InputError: the wanted one is damaged, or all are; the message names them, and one that is intact.
    """
    if wanted is not None:
        if "://" in wanted or not (reason := damage(wanted)):
            return wanted
        folder = osp.dirname(wanted) or "."
        intact = next((path for path in _checkpoints(folder) if not damage(path)), None)
        hint = f"the newest intact one beside it is {intact}" if intact else "a training writes them to its work dir"
        if osp.isdir(wanted):
            raise InputError(f"checkpoint {wanted!r} {reason}")
        raise InputError(f"checkpoint {wanted!r} {reason}; {hint}")
    last = last_written(work_dir)
    if last and "://" in last[0]:
        return last[0]
    candidates = [*last, *_checkpoints(work_dir), *(path for name in last for path in _checkpoints(osp.dirname(name)))]
    reasons: dict[str, str] = {}
    for path in candidates:
        if osp.realpath(path) in reasons:
            continue
        reason = damage(path)
        if not reason:
            for name, why in reasons.items():
                logger.warning("CHECKPOINT NOT USED: %s %s.", name, why)
            if reasons:
                logger.warning("RESUMING FROM %s INSTEAD: what was trained after it is trained again.", path)
            elif osp.realpath(osp.dirname(path)) != osp.realpath(work_dir):
                logger.warning("RESUMING FROM %s, which is not in %s", path, work_dir)
            return path
        reasons[osp.realpath(path)] = reason
    if reasons:
        listed = some([f"{name} {why}" for name, why in reasons.items()], separator="; ")
        raise InputError(f"no checkpoint to resume from: {listed}. Omit --resume to start from scratch")
    return None


def last_checkpoint(work_dir: str) -> Optional[str]:
    """Return the checkpoint that a work dir wrote last; None where it is not there."""
    return next((path for path in last_written(work_dir) if "://" in path or osp.isfile(path)), None)


def last_written(work_dir: str) -> list[str]:
    """Return where the checkpoint that a work dir names as its last may be, the likeliest first; none without a name.

    A copied or moved work dir names it where it was: the file of that name in the work dir itself takes precedence, and
    is logged. Checkpoints that are written elsewhere (``checkpoint.out_dir``) have no such file.
    """
    pointer = Path(work_dir) / "last_checkpoint"
    named = _text(pointer) if pointer.is_file() else ""
    if not named or "://" in named:
        return [named] if named else []
    here = osp.join(work_dir, osp.basename(named))
    if osp.realpath(here) == osp.realpath(named):
        return [named]
    if not osp.isfile(here):
        return [named, here]
    logger.warning("%s names %s; %s is taken, which has the same name", pointer, named, here)
    return [here]


def _text(pointer: Path) -> str:
    """Return the path in a file; nothing, with a warning, for a damaged file."""
    try:
        text = pointer.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        text = "\0"
    if not re.search(r"[\0-\x1f\x7f]", text):
        return text
    logger.warning("%s is damaged and not used: it names no file", pointer)
    return ""


def _checkpoints(folder: str) -> list[str]:
    """Checkpoints with optimizer, newest first. The best ones (``best_*.pth``) have none."""
    found = [path for path in Path(folder).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", path.stem)]
    return [str(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]
