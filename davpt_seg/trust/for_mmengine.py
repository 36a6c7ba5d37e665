"""What MMEngine would run, or delete files by, taken out of a checkpoint."""

from __future__ import annotations

import copy
import json
import os.path as osp
from collections import deque
from typing import Any, Optional

from mmengine.config import Config
from mmengine.logging import print_log

from ..core.record import is_without_trunk
from ..errors import InputError
from .config_check import check_config, without_sources
from .config_parts import parts_that_predict
from .config_text import evaluate


def for_mmengine(checkpoint: Any, path: str) -> Any:
    """Take out of a checkpoint, in place, what MMEngine would run, or delete files by.

    MMEngine runs the config texts in a checkpoint as Python: ``meta.config`` when it resumes, ``meta.cfg`` and the one
    in the message hub where an inferencer is given no config. It deletes the files that ``best_ckpt`` and
    ``keep_ckpt_ids`` name when it writes better or newer ones.

    Args:
        checkpoint: what was read.
        path: the file that it was read from. In a copied or moved work dir, its best and last checkpoint are the files
            of the same names beside it.
    """
    meta, known = _dict_in(checkpoint, "meta"), _dict_in(_dict_in(checkpoint, "message_hub"), "runtime_info")
    weights = (_dict_in(checkpoint, "state_dict"), checkpoint if isinstance(checkpoint, dict) else {})
    needs_trunk = any(map(is_without_trunk, weights))
    for place, key in ((meta, "config"), (meta, "cfg"), (known, "cfg")):
        if key not in place:
            continue
        try:
            place[key] = _harmless(place[key], needs_trunk)
        except (InputError, KeyError) as error:  # the latter for keys that MMEngine reserves
            del place[key]
            print_log(f"The config inside {path} is not used: {error}", logger="current")
    if "keep_ckpt_ids" in known and not _numbers(known["keep_ckpt_ids"]):
        print_log(f"keep_ckpt_ids inside {path} is not used: it must hold numbers", logger="current")
        del known["keep_ckpt_ids"]
    for key in [key for key in known if key.startswith("best_ckpt") or key == "last_ckpt"]:
        _use_beside(known, key, path)
    return checkpoint


def _dict_in(content: Any, key: str) -> dict[str, Any]:
    """Return the dict under a key; an empty one where there is none."""
    found = content.get(key) if isinstance(content, dict) else None
    return found if isinstance(found, dict) else {}


def _harmless(text: Any, needs_trunk: bool) -> str:
    """Return a config's text if MMEngine may evaluate it, or that of its parts that predict.

    Neither names weights, but for those of a frozen ViT that the checkpoint was saved without.

    Raises:
        InputError, KeyError: it may evaluate neither.
    """
    config = evaluate(text)
    try:
        check_config(config)
        kept = copy.deepcopy(config)
    except InputError:
        kept = parts_that_predict(config)
        check_config(kept)
    without_sources(kept, needs_trunk)
    Config(kept)  # KeyError for keys that MMEngine reserves
    try:
        json.dumps(kept, allow_nan=False)
    except ValueError as error:
        raise InputError("it holds inf or nan, which MMEngine does not read") from error
    if kept != config:
        text = "".join(f"{key} = {value!r}\n" for key, value in kept.items())  # MMEngine's own writes keys unquoted
    if "{{" in text:
        raise InputError("it holds a template, {{...}}")
    return text


def _numbers(value: Any) -> bool:
    return isinstance(value, (list, tuple, deque)) and all(type(number) is int for number in value)


def _use_beside(known: dict[str, Any], key: str, path: str) -> None:
    """Let a checkpoint's best or last checkpoint be the file of that name beside it; forget any other."""
    named = known[key]
    if named is None:
        return
    found = _beside(named, path)
    is_best = found is not None and osp.basename(found).startswith("best_") and found.endswith(".pth")
    if found is None or (key != "last_ckpt" and not is_best):
        print_log(f"{key} inside {path} is not used: {named!r} is no such file beside it", logger="current")
        del known[key]
    elif found != named:
        print_log(f"{key} inside {path} is {named!r}; {found!r}, beside it, is used instead", logger="current")
        known[key] = found


def _beside(named: Any, path: str) -> Optional[str]:
    if not isinstance(named, str):
        return None
    folder = osp.dirname(path)
    if osp.realpath(osp.dirname(named)) == osp.realpath(folder):
        return named
    copy = osp.join(osp.abspath(folder), osp.basename(named))
    return copy if osp.isfile(copy) else None
