"""Tables of a plan's keys, from their schemas, for the page of words."""

from __future__ import annotations

from textwrap import fill

from pydantic import BaseModel

from .drawings import Figure, Table
from .fields import WORDS
from .schema import Method, PlanFile, Setting
from .space import Range

WIDTH = 120  # characters of a line
TABLES: dict[str, type[BaseModel]] = {
    "key of a plan": PlanFile,
    "key of a method, beside words": Method,
    "key of a figure": Figure,
    "key of a table": Table,
    "key of a range": Range,
}


def key_tables() -> str:
    """Return the words of plans as a sentence, and a Markdown table for each kind of keys."""
    words = " ".join(f"`{name}`" for name in WORDS)
    setting = " ".join(f"`{name}`" for name in Setting.model_fields)
    sentences = (f"The words of a plan are {words}.", f"The keys of a setting's file are {setting}.")
    blocks = [fill(sentence, WIDTH) for sentence in sentences]
    for title, model in TABLES.items():
        fields = [(name, field) for name, field in model.model_fields.items() if not field.exclude]
        lines = [f"| {title} | meaning |", "|---|---|"]
        blocks.append("\n".join([*lines, *(f"| `{name}` | {field.description} |" for name, field in fields)]))
    return "\n\n".join(blocks)
