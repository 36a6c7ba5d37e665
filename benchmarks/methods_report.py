"""Table and figure of the measurements of benchmarks/methods.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Optional

from matplotlib.figure import Figure
from measuring import Ratio, ratio

BARE = "bare trunk"
WHAT = {"train": "training step", "inference": "inference", "folded": "inference after fold()"}


def ratios(methods: Mapping[str, Any], name: str) -> dict[str, Optional[Ratio]]:
    """Compare a method with the bare trunk, round by round; None for measurements without any change."""
    seconds = methods[name]["seconds"]
    bare = methods[BARE]["seconds"]
    return {
        what: ratio(seconds[what], bare["train" if what == "train" else "inference"]) if what in seconds else None
        for what in WHAT
    }


def table(measured: Mapping[str, Any]) -> str:
    """Write the methods as a Markdown table of medians; the figure has their interquartile ranges."""
    methods = measured["methods"]
    bare = methods[BARE]["mebibytes"]
    memory = f"memory ({measured['memory']})"
    columns = [
        "method",
        "tuned in the ViT",
        WHAT["train"],
        memory,
        WHAT["inference"],
        WHAT["folded"],
        "left after fold()",
    ]
    lines = [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]
    for name, found in methods.items():
        train, inference, folded = (f"{one.median:.3f}" if one else "-" for one in ratios(methods, name).values())
        cells = [
            name,
            f"{found['tuned']:,}",
            train,
            f"{found['mebibytes'] / bare:.2f}",
            inference,
            folded,
            found["left"],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def figure(measured: Mapping[str, Any]) -> Figure:
    """Draw each method's ratios: time and memory of a training step, and time of deployed inference."""
    methods = measured["methods"]
    names = [name for name in methods if name != BARE]
    drawn = Figure(figsize=(11, 0.3 * len(names) + 1.6), dpi=110, layout="constrained")
    step, memory, inference = drawn.subplots(1, 3, sharey=True)
    for place, name in enumerate(names):
        found = ratios(methods, name)
        deployed = found["folded"] or found["inference"]
        for axes, one, color in ((step, found["train"], "C0"), (inference, deployed, "C2")):
            assert one is not None
            spread = [[one.median - one.low], [one.high - one.median]]
            axes.errorbar(one.median, place, xerr=spread, fmt="o", color=color, ms=5, capsize=2)
        memory.plot(methods[name]["mebibytes"] / methods[BARE]["mebibytes"], place, "s", color="C1", ms=5)
    titles = ("time of a training step", f"memory: {measured['memory']}", "time of inference, folded where it can be")
    for axes, title in zip((step, memory, inference), titles):
        axes.axvline(1, color="gray", linewidth=0.8)
        axes.set_title(title, fontsize=9)
        axes.grid(alpha=0.3)
    step.set_yticks(range(len(names)), names, fontsize=9)
    step.set_ylim(len(names) - 0.5, -0.5)
    drawn.supxlabel(f"ratio to the bare frozen trunk. {measured['header']}", fontsize=8)
    return drawn
