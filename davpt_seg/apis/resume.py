"""Which checkpoint ``--resume`` goes on from."""

from __future__ import annotations

import logging
import os.path as osp
import re
from pathlib import Path
from typing import Optional

from ..core.weights.damage import zip_damage
from ..errors import InputError

logger = logging.getLogger("davpt_seg")


def damage(path: str) -> str:
    """Describe what is wrong with a checkpoint file; return nothing where it is intact. Reads all of it once."""
    if not osp.isfile(path):
        return "does not exist"
    return zip_damage(path) if osp.getsize(path) else "is empty"


def checkpoint_to_resume(work_dir: str, wanted: Optional[str] = None) -> Optional[str]:
    """Choose the checkpoint to resume from, and say so loudly where it is not the last one.

    Args:
        work_dir: of the run.
        wanted: a checkpoint that the user named; None for the last one. Addresses (``s3://...``) are not checked.

    Returns:
        Its path; None where the run has not written any yet.

    Raises:
        InputError: the wanted one is damaged, or all are; the message names them, and one that is whole.
    """
    if wanted is not None:
        if "://" in wanted or not (reason := damage(wanted)):
            return wanted
        folder = osp.dirname(wanted) or "."
        whole = next((path for path in _checkpoints(folder) if not damage(path)), None)
        hint = f"the newest whole one beside it is {whole}" if whole else f"there is no whole one in {folder}"
        raise InputError(f"checkpoint {wanted!r} {reason}; {hint}")
    pointer = Path(work_dir) / "last_checkpoint"
    last = pointer.read_text().strip() if pointer.is_file() else ""
    if "://" in last:
        return last
    candidates = ([last] if last else []) + _checkpoints(work_dir)
    if last:
        candidates += _checkpoints(osp.dirname(last))
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
            return path
        reasons[osp.realpath(path)] = reason
    if reasons:
        told = "; ".join(f"{name} {why}" for name, why in reasons.items())
        raise InputError(f"no checkpoint to resume from: {told}. Omit --resume to start from scratch")
    return None


def _checkpoints(folder: str) -> list[str]:
    """Checkpoints with optimizer, newest first. The best ones (``best_*.pth``) have none."""
    found = [path for path in Path(folder).glob("*.pth") if re.fullmatch(r"(epoch|iter)_\d+", path.stem)]
    return [str(path) for path in sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)]
