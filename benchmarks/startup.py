#!/usr/bin/env python
"""Measure the CPU seconds of commands: python benchmarks/startup.py [--checkout DIR] (--help)."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Optional

from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

ROOT = Path(__file__).resolve().parents[1]
HELPED = ("train", "test", "predict", "check-dataset", "count", "prune")
PLAN = ("ablations/blocks", "--setting", "camvid")
HELP = f"""\
Measure the CPU time of each command: user and system time of the process and its children, so that a busy machine or a
cold disk has little influence. The median ignores a first run that compiles.

PLAN is {" ".join(PLAN)}. --dry-run with --command lists runs of another program, which need no config of ours; without
it, every experiment is composed and its data are looked for (there are none here: status 2)."""


class Measured(NamedTuple):
    """Command with its CPU seconds, run by run."""

    label: str
    seconds: list[float]
    status: int


def commands(folder: Path) -> dict[str, list[str]]:
    """Return the commands to measure: arguments of python by label."""
    work_dir = str(folder / "benchmark")
    ours = {
        "--help": ["--help"],
        "configs": ["configs"],
        "info": ["info"],
        "mapping WORK_DIR": ["mapping", str(folder)],
        "benchmark --list": ["benchmark", "--list"],
        "benchmark PLAN --report": ["benchmark", *PLAN, "--report", "--work-dir", work_dir],
        "benchmark PLAN --dry-run --command PROGRAM": [
            *("benchmark", *PLAN, "--dry-run", "--command", "true", "--work-dir", work_dir)
        ],
        "benchmark PLAN --dry-run": ["benchmark", *PLAN, "--dry-run", "--work-dir", work_dir],
        **{f"{name} --help": [name, "--help"] for name in HELPED},
    }
    return {
        "python -c pass": ["-c", "pass"],
        "import torch, timm": ["-c", "import torch, timm"],
        "from davpt_seg.core import PromptedViT": ["-c", "from davpt_seg.core import PromptedViT"],
        "import davpt_seg": ["-c", "import davpt_seg"],
        **{f"davpt-seg {label}": ["-m", "davpt_seg", *arguments] for label, arguments in ours.items()},
    }


def measure(label: str, arguments: Sequence[str], environment: dict[str, str], runs: int) -> Measured:
    """Run a command several times."""
    seconds, status = [], 0
    for _ in range(runs):
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment,
            cwd=environment["PYTHONPATH"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, ended, used = os.wait4(process.pid, 0)  # of this process and its children, unlike subprocess's wait
        process.returncode = status = os.waitstatus_to_exitcode(ended)
        seconds.append(used.ru_utime + used.ru_stime)
    return Measured(label, seconds, status)


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Print the table as Markdown."""
    parser = CommandParser(description=HELP, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, default=ROOT, metavar="DIR", help="checkout of davpt_seg to measure")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="runs of each command; default: %(default)s")
    parser.add_argument("--only", default="", metavar="TEXT", help="only commands whose label contains this")
    args = parser.parse_args(argv)
    if args.runs < 1:
        raise InputError(f"--runs must be 1 or more, got {args.runs}")
    if not (args.checkout / "davpt_seg" / "__init__.py").is_file():
        raise InputError(f"--checkout {args.checkout}: there is no davpt_seg in it")
    clustering = dict(iter=0, epoch=0, seconds=0.1, moved=0, num_prompts=1, prompt_of_class=[0, 0], classes=["a", "b"])
    print(f"CPU seconds, median of {args.runs} runs (smallest to largest); Python {platform.python_version()}.\n")
    print("| command | CPU seconds |\n|---|---|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "mapping.jsonl").write_text(json.dumps(clustering) + "\n")
        (Path(folder) / "camvid").mkdir()
        environment = {
            **os.environ,
            "PYTHONPATH": str(args.checkout.resolve()),
            "OMP_NUM_THREADS": "1",
            "CAMVID_ROOT": str(Path(folder) / "camvid"),
        }
        for label, arguments in commands(Path(folder)).items():
            if args.only in label:
                found = measure(label, arguments, environment, args.runs)
                middle = statistics.median(found.seconds)
                status = f"; status {found.status}" if found.status else ""
                spread = f"{min(found.seconds):.2f} to {max(found.seconds):.2f}"
                print(f"| `{found.label}` | {middle:.2f} ({spread}{status}) |", flush=True)


if __name__ == "__main__":
    main()
