"""Figures of a report, where matplotlib is installed."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from .evidence import REFERENCE, compared
from .report import Line


def draw(lines: list[Line], folder: Path, title: str) -> list[Path]:
    """Draw what there is of speed and evidence; return the files."""
    if importlib.util.find_spec("matplotlib") is None:
        return []
    drawn = {"gpu_speed.png": _speed(lines, title), "gpu_evidence.png": _evidence(compared(lines), title)}
    files = []
    for name, figure in drawn.items():
        if figure is not None:
            figure.savefig(folder / name)
            files.append(folder / name)
    return files


def _figure(rows: int) -> Any:
    from matplotlib.figure import Figure  # not at the top: the check runs where there is no matplotlib

    return Figure(figsize=(9, 0.3 * rows + 1.6), dpi=110, layout="constrained")


def _speed(lines: list[Line], title: str) -> Any:
    """Draw each training step's time to the bare trunk's, and its memory."""
    trunk, found = "", []
    for line in lines:
        if line.part != "speed":
            continue
        if "step: " not in line.name:
            trunk = line.name
        elif "ratio" in line.figures:
            name = line.name if "compiled" in line.name else f"{line.name.removeprefix('step: ')} ({trunk})"
            found.append((name, line.figures))
    if not found:
        return None
    figure = _figure(len(found))
    time, memory = figure.subplots(1, 2, sharey=True)
    for place, (_, figures) in enumerate(found):
        ratio = figures["ratio"]
        spread = [[ratio["median"] - ratio["low"]], [ratio["high"] - ratio["median"]]]
        time.errorbar(ratio["median"], place, xerr=spread, fmt="o", color="C0", ms=5, capsize=2)
        if "mebibytes" in figures:
            memory.plot(figures["mebibytes"] / 1024, place, "s", color="C1", ms=5)
    time.axvline(1, color="gray", linewidth=0.8)
    time.set_title("training step, time to the bare trunk", fontsize=9)
    memory.set_title("memory, GiB", fontsize=9)
    time.set_yticks(range(len(found)), [name for name, _ in found], fontsize=8)
    time.set_ylim(len(found) - 0.5, -0.5)
    for axes in (time, memory):
        axes.grid(alpha=0.3)
    figure.supxlabel(title, fontsize=8)
    return figure


def _evidence(results: dict[str, Any], title: str) -> Any:
    """Draw each method's paired difference to VPT-Deep with its 95 % interval."""
    found = {name: figures["paired"] for name, figures in results.items() if "paired" in figures}
    if not found:
        return None
    figure = _figure(len(found))
    axes = figure.subplots()
    for place, one in enumerate(found.values()):
        axes.errorbar(one["mean"], place, xerr=one["half"], fmt="o", color="C2", ms=5, capsize=3)
    axes.axvline(0, color="gray", linewidth=0.8)
    axes.set_yticks(range(len(found)), list(found), fontsize=9)
    axes.set_ylim(len(found) - 0.5, -0.5)
    axes.set_title(f"CamVid, mIoU: paired difference to {REFERENCE}, 95 % interval", fontsize=9)
    axes.grid(alpha=0.3)
    figure.supxlabel(title, fontsize=8)
    return figure
