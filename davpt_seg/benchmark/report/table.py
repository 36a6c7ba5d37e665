"""Table of a benchmark: meaning of each row, and computation of its values."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from ...runs.results import result
from ..plan.fields import Value
from ..plan.tasks import GROUPS, tasks_of
from ..run.protocol import Protocol

VTAB_GROUPS = tuple(group for group in GROUPS if group.startswith("vtab/"))
MEANS = {
    **{group: f"mean of {group.split('/')[1].capitalize()} ({len(GROUPS[group])} tasks)" for group in VTAB_GROUPS},
    "vtab/mean_of_tasks": "VTAB-1k: mean of the 19 tasks",
    "vtab/mean_of_groups": "VTAB-1k: mean of the 3 group means",
    "fgvc": "FGVC: mean of the 5 tasks",
}
COSTS = {
    "tuned": "tuned parameters, without head (M)",
    "tuned_with_head": "tuned parameters, with head (M)",
    "seconds_per_epoch": "seconds per epoch",
    "seconds_per_iteration": "seconds per iteration",
    "memory": "GPU memory in training (GB)",
}
PER_IMAGE = "ms_per_image"  # a cost that ablations show
MILLION = 1e6


@dataclass(frozen=True)
class Score:
    """Test accuracy or mIoU in percent over seeds: mean, sample standard deviation of several, numbers of seeds."""

    mean: float
    std: Optional[float]
    seeds: int
    expected: int


def score_of(scores: Sequence[float], expected: int) -> Optional[Score]:
    """Return mean and standard deviation over seeds; None if no seed has ended."""
    if not scores:
        return None
    return Score(statistics.mean(scores), statistics.stdev(scores) if len(scores) > 1 else None, len(scores), expected)


def tasks_in(row: str) -> Sequence[str]:
    """List the tasks of a mean over tasks; a task is its own."""
    return tasks_of("vtab" if row.startswith("vtab/mean_of_") else row) or (row,)


@dataclass(frozen=True)
class Choice:
    """Hyper-parameters that a search chose, their validation score, and those at an end of their grid."""

    parameters: Mapping[str, Value]
    score: Optional[float]
    edges: Sequence[str]


@dataclass(frozen=True)
class Column:
    """Results of one method on one trunk.

    Args:
        trunk, name, method: attributes of its studies; ``method`` differs from ``name`` for a variant.
        scores: scores by task.
        costs: costs by row of ``COSTS``, each the mean over tasks and seeds that have it.
        chosen: choices by task.
        head: head on the trunk; None if tasks have different ones.
        by_seed: scores by task and seed.
    """

    trunk: str
    name: str
    method: str
    scores: Mapping[str, Optional[Score]]
    costs: Mapping[str, Optional[float]]
    chosen: Mapping[str, Choice]
    head: Optional[str] = "classifier"
    by_seed: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def seed_scores(self, row: str) -> dict[int, float]:
        """Return scores by seed, of a task or of a mean over tasks; a mean needs the seed in all its tasks."""
        if row == "vtab/mean_of_groups":
            parts = [self.seed_scores(group) for group in VTAB_GROUPS]
        else:
            parts = [dict(self.by_seed.get(task, {})) for task in tasks_in(row)]
        common = set(parts[0]).intersection(*parts[1:])
        return {seed: statistics.mean(part[seed] for part in parts) for seed in sorted(common)}


def score_at(column: Optional[Column], row: str) -> Optional[Score]:
    """Return the score of a task, or of a mean over tasks, over the seeds that all its tasks have."""
    if column is None:
        return None
    if row in column.scores:
        return column.scores[row]
    scores = [column.scores.get(task) for task in tasks_in(row)]
    return score_of([*column.seed_scores(row).values()], max((score.expected for score in scores if score), default=0))


def columns(protocols: Sequence[Protocol]) -> list[Column]:
    """Read the results of all studies, finished or not, in the plan's order."""
    methods: dict[tuple[str, str], list[Protocol]] = {}
    for protocol in protocols:
        methods.setdefault((protocol.study.trunk, protocol.study.name), []).append(protocol)
    return [_column(trunk, name, found) for (trunk, name), found in methods.items()]


def _column(trunk: str, name: str, protocols: Sequence[Protocol]) -> Column:
    results = {protocol.study.task: final_results(protocol) for protocol in protocols}
    expected = {protocol.study.task: len({*protocol.study.seeds, *seeds_there(protocol)}) for protocol in protocols}
    heads = {protocol.study.head for protocol in protocols}
    scores = {task: {seed: each["score"] for seed, each in found.items()} for task, found in results.items()}
    return Column(
        trunk=trunk,
        name=name,
        method=protocols[0].study.method,
        scores={task: score_of(list(found.values()), expected[task]) for task, found in scores.items()},
        costs={row: _cost(row, [list(found.values()) for found in results.values()]) for row in (*COSTS, PER_IMAGE)},
        chosen={protocol.study.task: choice for protocol in protocols if (choice := _choice(protocol))},
        head=heads.pop() if len(heads) == 1 else None,
        by_seed=scores,
    )


def _choice(protocol: Protocol) -> Optional[Choice]:
    chosen = protocol.chosen()
    if not chosen or not chosen["parameters"]:
        return None
    return Choice(chosen["parameters"], chosen["score"], protocol.study.space.edges(chosen["parameters"]))


def final_results(protocol: Protocol) -> dict[int, dict[str, Any]]:
    """Return the results of all final runs that ended, by seed, also of seeds that the plan no longer has."""
    found = {seed: result(protocol.folder / "final" / f"seed={seed}") for seed in seeds_there(protocol)}
    return {seed: each for seed, each in found.items() if each is not None}


def seeds_there(protocol: Protocol) -> list[int]:
    """List the seeds whose final runs ended, the plan's and others."""
    return sorted(int(path.parent.name.partition("=")[2]) for path in protocol.folder.glob("final/seed=*/result.json"))


def _cost(row: str, results: Sequence[Sequence[Mapping[str, Any]]]) -> Optional[float]:
    """Average a cost over seeds, then over the tasks that have it; parameters in millions."""
    known = [[each[row] for each in task if each.get(row) is not None] for task in results]
    by_task = [statistics.mean(values) for values in known if values]
    return statistics.mean(by_task) / (MILLION if row.startswith("tuned") else 1) if by_task else None
