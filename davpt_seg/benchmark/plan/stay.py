"""Config option with the prompts that stay in a run with pruning."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ...errors import InputError
from ...runs.json_files import is_number, read_json
from .fields import Value


def stay(file: Path, words: Mapping[str, Value]) -> str:
    """Return the option of a run whose least important prompts and segments are removed.

    The option lists the prompts, not the file's name, so that a run needs no file and is identified by what it trains.

    Args:
        file: importances that ``davpt-seg train --importance`` wrote.
        words: values of ``prompt_share``, ``segment_share`` and ``rank_by``; defaults are those of an experiment.

    Raises:
        InputError: the file cannot be read or is incomplete, or a share leaves nothing.
    """
    from ...core.prompts.importance import pruned  # torch takes seconds to import
    from ...experiments.shares import read_importance

    importance = read_importance(str(file)).ranked(str(words.get("rank_by", "masks")))
    kept = pruned(importance, float(words.get("prompt_share", 0)), float(words.get("segment_share", 0)))
    about = (read_json(file) or {}).get("about")
    blocks = about.get("num_prompts") if isinstance(about, dict) else None
    if not isinstance(blocks, list) or not all(is_number(count) for count in blocks):
        raise InputError(f"{file} lacks about: num_prompts, the prompts of each block; put the original file back")
    prompts = dict(num_prompts=[kept["num_prompts"] if count else 0 for count in blocks], segments=kept["segments"])
    return f"model.backbone.prompts={prompts}"
