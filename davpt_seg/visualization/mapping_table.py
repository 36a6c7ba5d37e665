"""Table and sentences on the classes that share a prompt, over training, without matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from rich import box
from rich.table import Table
from rich.text import Text

from ..core.guidance.mapping_log import Clustering
from .class_names import shown

ARROW = "\N{RIGHTWARDS ARROW}"


def mapping_table(first: Clustering, last: Clustering) -> Table:
    """Tabulate the classes of each prompt at two clusterings; without wrapped lines it is Markdown."""
    table = Table(box=box.MARKDOWN)
    table.add_column("prompt", justify="right")
    table.add_column(_when(first))
    table.add_column(_when(last))
    for prompt, (before, after) in enumerate(zip(first.groups(), last.groups())):
        cells = (", ".join(map(_cell, names)) or "(no class)" for names in (before, after))
        table.add_row(str(prompt), *map(Text, cells))  # as text, in which no brackets are markup
    return table


def moves_text(first: Clustering, last: Clustering) -> str:
    """List the classes whose prompts at two clusterings differ."""
    pairs = zip(first.classes, first.prompt_of_class, last.prompt_of_class)
    moves = [f"{shown(name)} ({old} {ARROW} {new})" for name, old, new in pairs if old != new]
    return f"Moved since the start: {len(moves)} of {len(first.classes)} classes. {'; '.join(moves)}".rstrip()


def history_text(clusterings: Sequence[Clustering]) -> str:
    """Describe how many classes moved each time, and the time of k-means."""
    seconds = [clustering.seconds for clustering in clusterings]
    moved = " ".join(str(clustering.moved) for clustering in clusterings[1:])
    return (
        f"Moved at each of {len(clusterings) - 1} later clusterings: {moved or '-'}\n"
        f"K-means: {sum(seconds):.3f} s together, {fmean(seconds):.4f} s on average, {max(seconds):.4f} s at most"
    )


def _cell(name: str) -> str:
    return shown(name).replace("|", "\\|")  # in Markdown's tables


def _when(clustering: Clustering) -> str:
    if clustering.iter == 0:
        return "before training"
    if clustering.epoch is None:
        return f"after iteration {clustering.iter}"
    return f"after epoch {clustering.epoch}"
