"""Export of the table as Markdown and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Optional

from ...experiments.words import CLASSIFICATION
from ..plan.tasks import GROUPS, METRICS, benchmark_of, score_of_task, tasks_of
from .published import LABEL, Cell, published
from .table import COSTS, MEANS, Choice, Column, Score, score_at

MISSING = "-"
PUBLISHED_NOTE = f"Rows in italics are {LABEL}, not ours."
NOTE = """\
Mean ± sample standard deviation over seeds, "(2 of 5)" where seeds are missing. Searched values were chosen on the
validation split before any test image was seen. Parameters and seconds are means over the finished tasks; seconds
depend on the machine's other load."""
MEANS_NOTE = "A mean of tasks is over the seeds that all its tasks have, and is missing if there are none."


def markdown(columns: Sequence[Column]) -> str:
    """Write a table for each trunk."""
    trunks = dict.fromkeys(column.trunk for column in columns)
    tables = [trunk_table(trunk, [column for column in columns if column.trunk == trunk]) for trunk in trunks]
    chosen = [choices(trunk, [column for column in columns if column.trunk == trunk]) for trunk in trunks]
    return "\n\n".join([*tables, note(columns), *filter(None, chosen)]) + "\n"


def note(columns: Sequence[Column]) -> str:
    """Describe the values of the table, as far as there are any."""
    listed = [row for row, _ in rows(columns)]
    notes = [f"Test {scores_named(listed)} in percent.", NOTE]
    if any(row in MEANS for row in listed):
        notes.append(MEANS_NOTE)
    if any(published_figure(column, row) is not None for column in columns for row in listed):
        notes.append(PUBLISHED_NOTE)
    return "\n".join(notes)


def scores_named(rows: Iterable[str]) -> str:
    """Name what rows are scored by: ``accuracy``, ``mIoU``, ``AP``, or several of them."""
    metrics = dict.fromkeys(score_of_task(row) for row in rows if row not in COSTS) or (METRICS[CLASSIFICATION],)
    return " and ".join(metric.name for metric in metrics)


def as_table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Write a table in Markdown."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [head, ["---"] * len(head), *lines])


def trunk_table(trunk: str, columns: Sequence[Column]) -> str:
    """Write the table of one trunk: a row for each task, mean and cost, a column for each method."""
    lines = []
    for row, label in rows(columns):
        lines.append([label, *(cell(column, row) for column in columns)])
        values = [published_figure(column, row) for column in columns]
        if any(value is not None for value in values):
            lines.append([f"*{label}, published*", *(f"*{_number(value, row)}*" for value in values)])
    return as_table([trunk, *(column.name for column in columns)], lines)


def choices(trunk: str, columns: Sequence[Column]) -> str:
    """Write the choices for one trunk, with their scores on the validation split; empty before any choice."""
    tasks = [task for task, _ in rows(columns) if any(task in column.chosen for column in columns)]
    if not tasks:
        return ""
    head = [f"{trunk}, chosen (score on the validation split)", *(column.name for column in columns)]
    table = as_table(head, [[task, *(_choice(column.chosen.get(task)) for column in columns)] for task in tasks])
    edges = any(choice.edges for column in columns for choice in column.chosen.values())
    return f"{table}\n\n^ at an end of its grid: better values may lie beyond." if edges else table


def _choice(choice: Optional[Choice]) -> str:
    if choice is None:
        return MISSING
    values = " ".join(f"{key}={value}{'^' * (key in choice.edges)}" for key, value in choice.parameters.items())
    return values if choice.score is None else f"{values} ({choice.score:.2f})"


def rows(columns: Sequence[Column]) -> Iterator[tuple[str, str]]:
    """Yield key and label of the rows: tasks under their group's mean, further tasks, costs."""
    tasks = list(dict.fromkeys(task for column in columns for task in column.scores))
    for group in GROUPS:
        here = [task for task in tasks_of(group) if task in tasks]
        yield from ((task, task) for task in here)
        if here:
            yield group, MEANS[group]
        if group == "vtab/structured" and any(task in tasks for task in tasks_of("vtab")):
            yield from ((mean, MEANS[mean]) for mean in ("vtab/mean_of_tasks", "vtab/mean_of_groups"))
    listed = {*tasks_of("vtab"), *tasks_of("fgvc")}
    yield from ((task, task) for task in tasks if task not in listed)
    known = {cost for column in columns for cost, value in column.costs.items() if value is not None}
    yield from ((cost, label) for cost, label in COSTS.items() if cost in known)


def cell(column: Column, row: str) -> str:
    """Write one of our values."""
    return _number(column.costs.get(row), row) if row in COSTS else score_text(score_at(column, row))


def published_figure(column: Column, row: str) -> Optional[float]:
    """Return the published value of a method, if trunk and head are the published ones; a variant has none."""
    if column.name != column.method or column.head is None:
        return None
    return published().get(Cell(column.trunk, column.head, column.method, row))


def score_text(score: Optional[Score]) -> str:
    """Write mean and standard deviation, and the number of seeds if some are missing."""
    if score is None:
        return MISSING
    text = f"{score.mean:.2f}" + ("" if score.std is None else f" ± {score.std:.2f}")
    return text if score.seeds == score.expected else f"{text} ({score.seeds} of {score.expected})"


def _number(value: Optional[float], row: str) -> str:
    if value is None:
        return MISSING
    return f"{value:.3f}" if row.startswith("tuned") or row == "seconds_per_iteration" else f"{value:.2f}"


def as_csv(columns: Sequence[Column]) -> str:
    """Write one line for each trunk, method and row, unrounded; missing values are empty."""
    text = io.StringIO()
    names = ("trunk", "method", "benchmark", "row", "mean", "deviation", "seeds", "published", "chosen")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(names)
    for column in columns:
        for row, _ in rows([each for each in columns if each.trunk == column.trunk]):
            score = None if row in COSTS else score_at(column, row)
            benchmark = "" if row in COSTS else benchmark_of(row)
            mean = column.costs.get(row) if row in COSTS else score and score.mean
            line = (column.trunk, column.name, benchmark, row, mean, score and score.std, score and score.seeds)
            writer.writerow([*line, published_figure(column, row), _chosen_text(column.chosen.get(row))])
    return text.getvalue()


def _chosen_text(choice: Optional[Choice]) -> str:
    return " ".join(f"{name}={value}" for name, value in choice.parameters.items()) if choice else ""
