"""Tables in the form of DA-VPT's Table 4: components added one after another, what they bring and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from .drawings import TableSpec
from .intervals import paired
from .markdown import MISSING, rows, score_text, table_row
from .table import COSTS, PER_IMAGE, Column, score_at
from .tasks import score_of_task

CHECK = "✓"
NOTE = """\
Mean ± sample standard deviation over seeds. Differences are to the first row, seed by seed, over the seeds that both
have: their mean ± deviation, and the 95 % interval of that mean (paired t). Parameters are those tuned, without the
head; ms per image is training, on one device, and depends on what else the machine did."""


def difference_text(column: Column, first: Column, row: str) -> str:
    """Write the difference to another column's score of a task or mean, over the seeds that both have, if any."""
    own, other = column.seed_scores(row), first.seed_scores(row)
    if not own.keys() & other.keys():
        return MISSING
    mean, deviation, half, pairs = paired(own, other)
    if pairs == 1:
        return f"{mean:+.2f}"
    return f"{mean:+.2f} ± {deviation:.2f} ({mean - half:+.1f} to {mean + half:+.1f}; {pairs} pairs)"


def component_table(spec: TableSpec, columns: Sequence[Column]) -> str:
    """Write the table of one trunk.

    Args:
        spec: what stands in it.
        columns: of one trunk.

    Returns:
        A row for each variant that is there. Columns are its name, a check mark for each component, score and
        difference for each task and mean of which something has ended, and the costs that are known.
    """
    by_name = {column.name: column for column in columns}
    here = [by_name[name] for name in spec.rows if name in by_name]
    scored = [
        (row, label)
        for row, label in rows(here)
        if row not in COSTS and any(score_at(column, row) is not None for column in here)
    ]
    costs = {"tuned": "tuned (M)", PER_IMAGE: "ms per image", "memory": "GPU memory (GB)"}
    costs = {cost: label for cost, label in costs.items() if any(column.costs.get(cost) is not None for column in here)}
    heads = [name for row, label in scored for name in (f"{label}, {score_of_task(row).name} (%)", "difference")]
    lines = [table_row(["", *spec.components(), *heads, *costs.values()])]
    lines.append(table_row(["---"] * (1 + len(spec.components()) + len(heads) + len(costs))))
    first = by_name.get(next(iter(spec.rows)))
    for column in here:
        marks = [CHECK if component in spec.rows[column.name] else "" for component in spec.components()]
        cells = [column.name, *marks]
        for row, _ in scored:
            difference = MISSING if first is None or column is first else difference_text(column, first, row)
            cells += [score_text(score_at(column, row)), difference]
        cells += [_cost(column.costs.get(cost), cost) for cost in costs]
        lines.append(table_row(cells))
    return "\n".join(lines)


def component_text(spec: TableSpec, columns: Sequence[Column]) -> str:
    """Write the tables of all trunks."""
    parts = [f"# {spec.title}"] if spec.title else []
    for trunk in dict.fromkeys(column.trunk for column in columns):
        parts += [f"{trunk}:", component_table(spec, [column for column in columns if column.trunk == trunk])]
    return "\n\n".join([*parts, NOTE]) + "\n"


def _cost(value: Optional[float], cost: str) -> str:
    if value is None:
        return MISSING
    return f"{value:.3f}" if cost == "tuned" else f"{value:.2f}"
