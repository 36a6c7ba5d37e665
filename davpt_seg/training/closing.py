"""Last lines of a training: what it reached, where its files are, and the next command."""

from __future__ import annotations

import os.path as osp
from collections.abc import Iterator
from typing import Any

from mmengine.runner import Runner

from ..terminal.program import command_line
from .resume import last_checkpoint
from .score_text import listed, name_of, value_of
from .testing import is_recognition

TIMES = ("time", "data_time")  # what MMEngine keeps next to the scores


def closing(runner: Runner, config: str, has_next: bool = True) -> str:
    """Return the last lines of a training that reached its end.

    Args:
        runner: runner after its training.
        config: file or words, for the next command.
        has_next: whether to name the next command, which tests the last checkpoint.
    """
    last = last_checkpoint(runner.work_dir)
    lines = ["Done."]
    if scores := listed(_last_scores(runner)):
        lines.append(f"Last validation: {scores}.")
    lines.extend(_best(runner))
    lines.append(f"Checkpoints and logs: {runner.work_dir}.")
    if has_next and runner.cfg.get("test_dataloader"):
        lines.append(f"Next: {command_line('test', config, last or 'CHECKPOINT')}")
    elif last and not is_recognition(runner.cfg):
        lines.append(f"Next: {command_line('predict', config, last)} IMAGE")
    return "\n".join(lines)


def _last_scores(runner: Runner) -> dict[str, Any]:
    logged = runner.message_hub.log_scalars
    named = {key.partition("val/")[2]: value for key, value in logged.items() if key.startswith("val/")}
    return {name: value.current() for name, value in named.items() if name not in TIMES and len(value.data[0])}


def _best(runner: Runner) -> Iterator[str]:
    """Yield a line for each score by which a best checkpoint was kept."""
    known = runner.message_hub.runtime_info
    names = [each for hook in runner.hooks for each in getattr(hook, "key_indicators", None) or ()]
    for name in names:
        end = "" if len(names) == 1 else f"_{name}"
        score, path = known.get(f"best_score{end}"), known.get(f"best_ckpt{end}")
        if path:
            yield f"Best by {name_of(name)}: {value_of(name, score)}, {osp.basename(str(path))}."
