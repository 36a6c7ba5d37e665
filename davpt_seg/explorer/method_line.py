"""One line about what was added to a frozen ViT."""

from __future__ import annotations

from collections.abc import Sequence

from ..core.vit import PromptedViT
from ..errors import some

NAMES = {"deep": "VPT-Deep", "shallow": "VPT-Shallow", "gated": "GateVPT"}


def method_line(model: PromptedViT) -> str:
    """Describe the prompts, guidance, adapters and tuned parameters of a ViT, with blocks counted from 0.

    >>> method_line(model)
    'DA-VPT, 20 prompts in each of 12 blocks, zero start (offset), guidance in block 11'
    """
    arguments = model.arguments
    parts: list[str] = []
    if model.prompts:
        kind = (arguments.get("prompts") or {}).get("kind", "deep")
        guided = kind == "deep" and model.guidance is not None
        parts += ["DA-VPT" if guided else NAMES[kind], _counts(model.prompts.counts)]
        if model.prompts.start != "joint":
            parts.append(f"zero start ({model.prompts.start})")
        if kind == "deep" and model.carry is not None:
            parts.append(f"those of block {model.carry} persistent")
    if model.guidance:
        blocks = model.guidance.blocks
        parts.append(f"guidance in {'block' if len(blocks) == 1 else 'blocks'} {some(list(map(str, blocks)), 12)}")
    parts += [str(adapter["type"]) for adapter in arguments.get("adapters") or ()]
    if arguments.get("tuned"):
        parts.append(f"tuned: {some(list(arguments['tuned']))}")
    if not arguments.get("frozen", True):
        parts.append("all parameters tuned")
    return ", ".join(parts) or "frozen ViT, only the head trained"


def _counts(counts: Sequence[int]) -> str:
    found = [count for count in counts if count]
    if len(set(found)) > 1:
        return f"prompts by block: {', '.join(map(str, counts))}"
    prompts = f"{found[0]} {'prompt' if found[0] == 1 else 'prompts'}"
    if len(found) == 1:
        return f"{prompts} in block {next(i for i, count in enumerate(counts) if count)}"
    return f"{prompts} in each of {len(found)} blocks"
