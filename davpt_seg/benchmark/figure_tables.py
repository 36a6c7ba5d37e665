"""Tables of what figures show, without matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

from .drawings import FigureSpec
from .markdown import MISSING, rows, score_text, table_row
from .table import COSTS, Column, score_at
from .tasks import score_of_task


def labels_of(spec: FigureSpec) -> list[str]:
    """List the places on the axis: numbers by size, words as they come."""
    labels = list(dict.fromkeys(label for series in spec.series for label in series.points))
    return sorted(labels, key=float) if all(map(_is_number, labels)) else labels


def panels_of(spec: FigureSpec, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """List key and label of the tasks and means of which something in a figure has ended."""
    shown = {name for series in spec.series for name in series.points.values()} | set(spec.baselines)
    here = [column for column in columns if column.name in shown]
    return [
        (row, label)
        for row, label in rows(here)
        if row not in COSTS and any(score_at(column, row) is not None for column in here)
    ]


def figure_text(spec: FigureSpec, columns: Sequence[Column]) -> str:
    """Write a figure's numbers: a table for each task and mean, a row for each place on the axis and each baseline."""
    by_name = {column.name: column for column in columns}
    parts = [f"# {spec.title}"] if spec.title else []
    for row, label in panels_of(spec, columns):
        head = f"{label}: test {score_of_task(row).name} (%), by {spec.xlabel}"
        lines = [table_row([head, *(series.name for series in spec.series)])]
        lines.append(table_row(["---"] * (1 + len(spec.series))))
        for place in labels_of(spec):
            found = (score_at(by_name.get(series.points.get(place, "")), row) for series in spec.series)
            lines.append(table_row([place, *map(score_text, found)]))
        for name in spec.baselines:
            score = score_text(score_at(by_name.get(name), row))
            lines.append(table_row([f"*{name}*", score, *[MISSING] * (len(spec.series) - 1)]))
        parts.append("\n".join(lines))
    note = "Mean ± sample standard deviation over seeds."
    parts.append(f"{note} In italics: without the axis, a horizontal line." if spec.baselines else note)
    return "\n\n".join(parts) + "\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
