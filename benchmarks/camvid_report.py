"""Tables and curves of the CamVid comparison that camvid.py ran.

python -m benchmarks.camvid_report --work-dir work_dirs/camvid_study --save docs/camvid.json --figure docs/camvid.png
python -m benchmarks.camvid_report --load docs/camvid.json      # the tables of the figures that we keep
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks.camvid import REGIMES, VARIANTS, curve, plain

Curve = Mapping[int, float]  # iteration -> mIoU
Results = Mapping[str, Curve]  # stage/name/regime/seed -> curve

LABELS = {
    "linear": "linear probing",
    "full": "full fine-tuning",
    "bias": "bias",
    "vpt_shallow": "VPT-Shallow",
    "vpt_deep": "VPT-Deep",
    "davpt": "DA-VPT",
    "davpt_plus": "DA-VPT+",
}
TITLES = {"all": "all 367 images", "40": "40 images"}


def collect(root: Path) -> dict[str, dict[int, float]]:
    """Read all runs that ended."""
    return {str(done.parent.relative_to(root)): curve(done.parent) for done in sorted(root.rglob("done"))}


def load(path: Path) -> dict[str, dict[int, float]]:
    """Read what --save wrote."""
    return {key: {int(k): v for k, v in value.items()} for key, value in json.loads(path.read_text()).items()}


def by_seed(results: Results, prefix: str) -> dict[int, Curve]:
    """The runs of one method in one regime."""
    return {int(key.rsplit("/", 1)[1]): value for key, value in results.items() if key.rsplit("/", 1)[0] == prefix}


def spread(values: Sequence[float], form: str = ".1f") -> str:
    """Mean and sample deviation, as text."""
    mean = format(statistics.mean(values), form)
    return f"{mean} ± {statistics.stdev(values):.1f}" if len(values) > 1 else mean


def row(cells: Sequence[object]) -> str:
    """One line of a Markdown table."""
    return f"| {' | '.join(map(str, cells))} |"


def grid_table(results: Results) -> list[str]:
    """Learning rates tried, mIoU at the end."""
    lines = [row(["method", "low", "middle", "high"]), row(["---"] * 4)]
    for method, label in LABELS.items():
        found = {
            float(key.split("/")[2]): list(value.values())[-1]
            for key, value in results.items()
            if key.startswith(f"grid/{method}/")
        }
        lines.append(row([label, *(f"{found[rate]:.1f} ({rate:g})" for rate in sorted(found)[-3:])]))
    return lines


def main_table(results: Results, regime: str) -> list[str]:
    """Mean and spread of each method over the seeds, along training."""
    steps: list[int] = []
    lines = []
    for method, label in LABELS.items():
        runs = by_seed(results, f"main/{method}/{regime}")
        if runs:
            steps = steps or list(next(iter(runs.values())))
            lines.append(row([label, len(runs), *(spread([run[step] for run in runs.values()]) for step in steps)]))
    return [row([TITLES[regime], "seeds", *steps]), row(["---"] * (2 + len(steps))), *lines]


def paired_table(results: Results, regime: str) -> list[str]:
    """What guidance adds to VPT-Deep, run by run of the same seed: the same images and initial values."""
    plain_runs = by_seed(results, f"main/vpt_deep/{regime}")
    steps = list(next(iter(plain_runs.values())))
    lines = [row([f"{TITLES[regime]}: to VPT-Deep", "seeds", *steps]), row(["---"] * (2 + len(steps)))]
    for method in ("davpt", "davpt_plus"):
        runs = by_seed(results, f"main/{method}/{regime}")
        seeds = [seed for seed in runs if seed in plain_runs]
        gains = [spread([runs[seed][step] - plain_runs[seed][step] for seed in seeds], "+.1f") for step in steps]
        lines.append(row([LABELS[method], len(seeds), *gains]))
    return lines


def why_table(results: Results) -> list[str]:
    """Each variant against DA-VPT and VPT-Deep of the same seeds."""
    davpt, vpt_deep = (by_seed(results, f"main/{name}/40") for name in ("davpt", "vpt_deep"))
    lines = [row(["change to DA-VPT", "seeds", 100, 400, "to DA-VPT", "to VPT-Deep"]), row(["---"] * 6)]
    for name in VARIANTS:
        runs = by_seed(results, f"why/{plain(name)}/40")
        seeds = [seed for seed in runs if seed in davpt and seed in vpt_deep]
        if seeds:
            gains = [[runs[seed][400] - base[seed][400] for seed in seeds] for base in (davpt, vpt_deep)]
            at = [spread([runs[seed][step] for seed in seeds]) for step in (100, 400)]
            lines.append(row([name, len(seeds), *at, *(f"{statistics.mean(gain):+.1f}" for gain in gains)]))
    return lines


def tables(results: Results) -> list[list[str]]:
    """All tables, each a list of lines."""
    mains = [table(results, regime) for regime in REGIMES for table in (main_table, paired_table)]
    return [grid_table(results), *mains, why_table(results)]


def curves(results: Results) -> Figure:
    """MIoU against iterations: means over seeds, and the range from the least to the greatest."""
    figure = Figure(figsize=(10, 4.6), dpi=110, layout="constrained")
    for axes, regime in zip(figure.subplots(1, len(REGIMES)), REGIMES):
        for i, (method, label) in enumerate(LABELS.items()):
            runs = list(by_seed(results, f"main/{method}/{regime}").values())
            if not runs:
                continue
            steps = list(runs[0])
            values = [[run[step] for run in runs] for step in steps]
            axes.plot(steps, [statistics.mean(v) for v in values], "o-", color=f"C{i}", label=label, markersize=3)
            axes.fill_between(steps, [min(v) for v in values], [max(v) for v in values], color=f"C{i}", alpha=0.2)
        axes.set(title=f"CamVid, {TITLES[regime]}", xlabel="iteration", ylabel="validation mIoU (%)")
        axes.grid(alpha=0.3)
    axes.legend(loc="lower right", frameon=False)
    return figure


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--work-dir", type=Path, metavar="DIR", help="read the runs that camvid.py wrote here")
    source.add_argument("--load", type=Path, metavar="JSON", help="or read what --save wrote")
    parser.add_argument("--save", type=Path, metavar="JSON", help="write all figures here")
    parser.add_argument("--figure", type=Path, metavar="PNG", help="draw mIoU against iterations")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse()
    found = load(args.load) if args.load else collect(args.work_dir)
    if args.save:
        args.save.write_text(json.dumps(found, indent=None).replace('}, "', '},\n "') + "\n")
    if args.figure:
        curves(found).savefig(args.figure)
    print("\n\n".join("\n".join(lines) for lines in tables(found)))
