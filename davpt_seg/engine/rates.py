"""Learning rates of a training, by the parts of the model that learn at them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

NAMED = 2  # parts that a name lists


def rates(model: nn.Module, groups: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return each distinct learning rate under the names of what learns at it.

    Groups with the same initial rate share a schedule, and so a name: the largest parts of the model whose trained
    parameters all have that rate, such as ``decode_head`` and ``backbone.prompts``.

    Args:
        model: model without wrapper.
        groups: parameter groups of its optimizer.

    Returns:
        Current rates; one entry, ``model``, if all parts learn at one rate.
    """
    group_of = {id(parameter): group for group in groups for parameter in group["params"]}
    trained = [(name, group_of.get(id(p))) for name, p in model.named_parameters() if p.requires_grad]
    initial = {name: _initial(group) for name, group in trained if group is not None}
    current = {_initial(group): float(group["lr"]) for _, group in trained if group is not None}
    if len(current) == 1:
        return {"model": next(iter(current.values()))}
    parts: dict[float, list[str]] = {}
    for part, rate in _parts(initial):
        parts.setdefault(rate, []).append(part)
    return {_joined(names): current[rate] for rate, names in parts.items()}


def _initial(group: Mapping[str, Any]) -> float:
    return float(group.get("initial_lr", group["lr"]))


def _parts(rate_of: Mapping[str, float], prefix: str = "") -> Iterator[tuple[str, float]]:
    """Yield the largest parts below a prefix that have a single rate, and that rate."""
    below: dict[str, dict[str, float]] = {}
    for name, rate in rate_of.items():
        first = name[len(prefix) :].partition(".")[0]
        below.setdefault(prefix + first, {})[name] = rate
    for part, inside in below.items():
        found = set(inside.values())
        if len(found) == 1:
            yield part, found.pop()
        else:
            yield from _parts(inside, f"{part}.")


def _joined(names: Sequence[str]) -> str:
    more = len(names) - NAMED
    return " + ".join([*names[:NAMED], *([f"{more} more"] if more > 0 else [])])
