"""``README.md`` of an adapter folder: what it holds, of which method, on which trunk, and how it is loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Optional

from ..delta import record_of
from ..record import Record
from ..vit import PromptedViT

HEADER = """\
---
library_name: davpt_seg
tags: [adapter, visual-prompt-tuning{tags}]
---
"""


def core_card(model: PromptedViT) -> str:
    """Return the card of a prompted ViT alone."""
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    lines = [
        "# Adapter of a frozen ViT",
        "",
        *method_lines(model.arguments, trained),
        f"- frozen ViT: {record_of(model)}",
        "",
        "```python",
        "from davpt_seg.core import load_adapter",
        "",
        f'model = load_adapter("DIR", trunk={trunk_argument(record_of(model))})  # DIR: this folder',
        "```",
    ]
    return HEADER.format(tags="") + "\n".join(lines) + "\n"


def method_lines(arguments: Mapping[str, Any], trained: Optional[int]) -> list[str]:
    """Return lines about a ViT's arguments: what joins it, and how many parameters that trains."""
    facts = {
        "prompts": arguments.get("prompts"),
        "adapters": arguments.get("adapters") or None,
        "tuned": arguments.get("tuned") or None,
        "guidance": arguments.get("guidance"),
    }
    lines = [f"- {name}: `{value}`" for name, value in facts.items() if value is not None]
    if not arguments.get("frozen", True):
        lines.append("- all parameters of the ViT are tuned")
    counted = [] if trained is None else [f"- tuned parameters in the ViT: {trained:,}"]
    return [f"- ViT: `{arguments['model_name']}`", *lines, *counted]


def trunk_argument(record: Record) -> str:
    """Return how the trunk of a record is given in Python."""
    if record.source is not None and not record.source.file:
        return '"pretrained"'
    return json.dumps(record.source.file if record.source else "FILE")  # quoted: a checkpoint may say any name
