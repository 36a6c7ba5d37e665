"""One line about what was added to a frozen ViT."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from ..core.build import guided_blocks
from ..core.vit import PromptedViT
from ..errors import some

NAMES = {"deep": "VPT-Deep", "shallow": "VPT-Shallow", "gated": "GateVPT"}


def method_line(model: PromptedViT) -> str:
    """Describe the prompts, guidance, adapters and tuned parameters of a ViT, with blocks counted from 0.

    >>> method_line(model)
    'DA-VPT, 20 prompts in blocks 0-11, zero start (offset), guidance in block 11'
    """
    arguments = model.arguments
    guided = guided_blocks(model.trunk, arguments.get("guidance"))  # also where its state was not saved
    parts: list[str] = []
    if model.prompts:
        kind = (arguments.get("prompts") or {}).get("kind", "deep")
        parts += ["DA-VPT" if kind == "deep" and guided else NAMES[kind], _counts(model.prompts.counts)]
        if model.prompts.start != "joint":
            parts.append(f"zero start ({model.prompts.start})")
        if kind == "deep" and model.carry is not None:
            parts.append(f"those of block {model.carry} persistent")
    if guided:
        numbers = ", ".join(map(str, guided))
        parts.append(f"guidance in {'block' if len(guided) == 1 else 'blocks'} {numbers}")
    parts += [str(adapter["type"]) for adapter in arguments.get("adapters") or ()]
    if arguments.get("tuned"):
        parts.append(f"tuned: {some(list(arguments['tuned']))}")
    if not arguments.get("frozen", True):
        parts.append("all parameters tuned")
    return ", ".join(parts) or "frozen ViT, only the head trained"


def _counts(counts: Sequence[int]) -> str:
    """Describe numbers of prompts by ranges of blocks: ``20 prompts in blocks 0-10, 10 in block 11``."""
    parts: list[str] = []
    first = 0
    for count, run in groupby(counts):
        last = first + len(list(run)) - 1
        if count:
            blocks = f"block {first}" if first == last else f"blocks {first}-{last}"
            noun = "" if parts else " prompt" if count == 1 else " prompts"
            parts.append(f"{count}{noun} in {blocks}")
        first = last + 1
    return ", ".join(parts)
