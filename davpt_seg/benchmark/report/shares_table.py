"""Table of a study's pruning: validation scores of all prompts and of each share."""

from __future__ import annotations

from ...runs.results import result
from ..plan.tasks import score_of_task
from ..run.protocol import Protocol
from .markdown import MISSING, as_table


def shares_table(protocol: Protocol) -> str:
    """Return a study's table in Markdown; empty without pruning or before the first result."""
    study, chosen = protocol.study, protocol.chosen() or {}
    if study.importance is None or not protocol.measured():
        return ""
    of_choice = [trial["parameters"] for trial in chosen.get("trials", ())]
    tried = study.space.points() if study.space.sampler == "grid" else of_choice
    lines = []
    for run in (study.whole_run(), *(study.search_run(parameters) for parameters in tried if parameters)):
        label = " ".join(f"{name}={value}" for name, value in run.parameters.items())
        mark = " (chosen)" if run.parameters == chosen.get("parameters") else ""
        found = result(protocol.root / run.key)
        figures = (f"{found.get('tuned', 0):,}", f"{found['score']:.2f}") if found else (MISSING, MISSING)
        lines.append([f"{label}{mark}" if run.stage == "search" else "nothing", *figures])
    metric = f"{score_of_task(study.task).name}, validation (%)"
    return as_table([f"{study.key}: removed", "tuned in the ViT", metric], lines) + "\n"
