"""Training curves, from MMEngine's log of scalars."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Union

from matplotlib.figure import Figure

from ..errors import InputError

SCORES = {"mIoU": ("mIoU", 1), "coco/bbox_mAP": ("AP", 100)}  # name and factor to percent, by logged name
Scalars = Mapping[str, tuple[list[int], list[float]]]


def read_rows(path: Union[str, Path]) -> Iterator[dict[str, Any]]:
    """Read MMEngine's ``vis_data/scalars.json``, one JSON object per line, without an incomplete last line.

    Raises:
        InputError: a line that is no JSON.
    """
    for number, line in enumerate(Path(path).read_text().split("\n")[:-1], start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError as error:
            raise InputError(f"log {str(path)!r}, line {number}, is no JSON: {error}") from error


def read_scalars(path: Union[str, Path]) -> Scalars:
    """Read all scalars of a log, see :func:`read_rows`.

    Returns:
        (iterations, values) by name, for every logged scalar. Validation that is counted in epochs is at the training
        iteration before it.

    Raises:
        InputError: the file does not exist, a line is no JSON, or there is no training loss.
    """
    if not Path(path).is_file():
        raise InputError(f"log {str(path)!r} does not exist; a training writes it into its work dir")
    scalars: dict[str, tuple[list[int], list[float]]] = {}
    now = 0
    for logged in read_rows(path):
        now = max(now, logged.pop("step"))
        for name, value in logged.items():
            steps, values = scalars.setdefault(name, ([], []))
            steps.append(now)
            values.append(value)
    if "loss" not in scalars:
        raise InputError(f"log {str(path)!r} holds no training loss; was it stopped before the first logged iteration?")
    return scalars


def loss_curves(scalars: Scalars) -> Figure:
    """Draw all training losses, and the validation mIoU or AP on a second axis."""
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(*scalars["loss"], color="black", linewidth=2.2, label="all (what is minimised)")
    for name in (name for name in scalars if "loss_" in name):
        axes.plot(*scalars[name], "--" if "metric" in name else "-", label=name)
    axes.set(title="Training losses and validation", xlabel="iteration", ylabel="loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    lines = axes.get_lines()
    for name, (label, to_percent) in SCORES.items():
        if name not in scalars:
            continue
        steps, values = scalars[name][0], [to_percent * value for value in scalars[name][1]]
        right = axes.twinx()
        right.plot(steps, values, "o-", color="tab:purple", linewidth=2, label=f"validation {label}")
        for step, value in zip(steps, values):
            right.annotate(
                f"{value:.0f}", (step, value), (0, 6), textcoords="offset points", ha="center", color="tab:purple"
            )
        right.set(ylim=(0, 100))
        right.set_ylabel(f"{label} (%)", color="tab:purple")
        lines = [*lines, *right.get_lines()]
    figure.legend(handles=lines, loc="outside lower center", ncols=3, frameon=False)
    return figure
