"""Tables that a plan declares: components, as in DA-VPT's Table 4, and the values of its figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from ..plan.drawings import Figure, Table
from ..plan.tasks import score_of_task
from .intervals import paired
from .markdown import MISSING, as_table, rows, score_text
from .table import COSTS, PER_IMAGE, Column, score_at

CHECK = "✓"
NOTE = """\
Mean ± sample standard deviation over seeds. Differences are to the first row, seed by seed, over the seeds that both
have: their mean ± standard deviation, and the 95 % interval of the mean (paired t). Parameters are the tuned ones
without the head; ms per image is training time on one device, and depends on the machine's other load."""


def difference_text(column: Column, first: Column, row: str) -> str:
    """Format the difference to another column's score of a task or mean, over the seeds that both have, if any."""
    own, other = column.seed_scores(row), first.seed_scores(row)
    if not own.keys() & other.keys():
        return MISSING
    mean, std, half, pairs = paired(own, other)
    if pairs == 1:
        return f"{mean:+.2f}"
    return f"{mean:+.2f} ± {std:.2f} ({mean - half:+.1f} to {mean + half:+.1f}; {pairs} pairs)"


def component_table(spec: Table, columns: Sequence[Column]) -> str:
    """Write the table of one trunk.

    Args:
        spec: content of the table.
        columns: columns of one trunk.

    Returns:
        A row for each variant with results. Columns are its name, a check mark for each component, score and
        difference for each task and mean with results, and the known costs.
    """
    by_name = {column.name: column for column in columns}
    here = [by_name[name] for name in spec.rows if name in by_name]
    scored = _scored(here)
    costs = {"tuned": "tuned (M)", PER_IMAGE: "ms per image", "memory": "GPU memory (GB)"}
    costs = {cost: label for cost, label in costs.items() if any(column.costs.get(cost) is not None for column in here)}
    heads = [name for row, label in scored for name in (f"{label}, {score_of_task(row).name} (%)", "difference")]
    first = by_name.get(next(iter(spec.rows)))
    lines = []
    for column in here:
        cells = [column.name, *(CHECK if part in spec.rows[column.name] else "" for part in spec.components())]
        for row, _ in scored:
            difference = MISSING if first is None or column is first else difference_text(column, first, row)
            cells += [score_text(score_at(column, row)), difference]
        lines.append([*cells, *(_cost(column.costs.get(cost), cost) for cost in costs)])
    return as_table(["", *spec.components(), *heads, *costs.values()], lines)


def _scored(columns: Sequence[Column]) -> list[tuple[str, str]]:
    """List key and label of the tasks and means that have results."""
    return [
        (row, label)
        for row, label in rows(columns)
        if row not in COSTS and any(score_at(column, row) is not None for column in columns)
    ]


def component_text(spec: Table, columns: Sequence[Column]) -> str:
    """Write the tables of all trunks."""
    parts = [f"# {spec.title}"] if spec.title else []
    for trunk in dict.fromkeys(column.trunk for column in columns):
        parts += [f"{trunk}:", component_table(spec, [column for column in columns if column.trunk == trunk])]
    return "\n\n".join([*parts, NOTE]) + "\n"


def _cost(value: Optional[float], cost: str) -> str:
    if value is None:
        return MISSING
    return f"{value:.3f}" if cost == "tuned" else f"{value:.2f}"


def labels_of(spec: Figure) -> list[str]:
    """List the places on the axis: numbers by size, text in the order given."""
    labels = list(dict.fromkeys(label for series in spec.series for label in series.points))
    return sorted(labels, key=float) if all(map(_is_number, labels)) else labels


def panels_of(spec: Figure, columns: Sequence[Column]) -> list[tuple[str, str]]:
    """List key and label of the tasks and means that have results in a figure."""
    shown = {name for series in spec.series for name in series.points.values()} | set(spec.baselines)
    here = [column for column in columns if column.name in shown]
    return _scored(here)


def figure_text(spec: Figure, columns: Sequence[Column]) -> str:
    """Write a figure's values: a table for each task and mean, a row for each place on the axis and each baseline."""
    by_name = {column.name: column for column in columns}
    parts = [f"# {spec.title}"] if spec.title else []
    for row, label in panels_of(spec, columns):
        head = f"{label}: test {score_of_task(row).name} (%), by {spec.xlabel or spec.series[0].axis}"
        lines = []
        for place in labels_of(spec):
            found = (score_at(by_name.get(series.points.get(place, "")), row) for series in spec.series)
            lines.append([place, *map(score_text, found)])
        for name in spec.baselines:
            score = score_text(score_at(by_name.get(name), row))
            lines.append([f"*{name}*", score, *[MISSING] * (len(spec.series) - 1)])
        parts.append(as_table([head, *(series.name for series in spec.series)], lines))
    note = "Mean ± sample standard deviation over seeds."
    parts.append(f"{note} In italics: without the axis, a horizontal line." if spec.baselines else note)
    return "\n\n".join(parts) + "\n"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
