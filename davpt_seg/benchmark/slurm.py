"""Workers as a slurm job array; they share the work dir, and take the next run that nobody has."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import InputError

NOT_FOR_WORKERS = ("--slurm", "--jobs", "--gpus")  # each worker runs one training at a time, on what slurm gave it


def submit(arguments: Sequence[str], options: str, workers: int, root: Path) -> str:
    """Submit workers.

    Args:
        arguments: what was typed; each worker gets it too, without ``--slurm``, ``--jobs`` and ``--gpus``.
        options: of ``sbatch``, such as ``--partition=gpu --gres=gpu:1``.
        workers: how many.
        root: work dir; the workers' own output goes to its folder ``slurm``.

    Returns:
        What to tell the user.

    Raises:
        InputError: there is no ``sbatch``, or it refused.
    """
    if shutil.which("sbatch") is None:
        raise InputError("--slurm: there is no sbatch here; run this on a login node of the cluster")
    folder = root / "slurm"
    folder.mkdir(parents=True, exist_ok=True)
    worker = [sys.executable, "-m", "davpt_seg", "benchmark", *_for_workers(arguments)]
    script = folder / "worker.sh"
    script.write_text(f"#!/usr/bin/env bash\nexec {shlex.join(worker)}\n")
    script.chmod(0o755)
    array = ["--parsable", "--job-name=davpt-benchmark", f"--array=0-{workers - 1}", f"--output={folder}/%A_%a.log"]
    done = subprocess.run(["sbatch", *array, *shlex.split(options), str(script)], capture_output=True, text=True)
    if done.returncode:
        raise InputError(f"--slurm: sbatch {options} failed: {done.stderr.strip() or done.stdout.strip()}")
    job = done.stdout.strip().partition(";")[0]
    return (
        f"Submitted {workers} workers as job array {job}. Their output: {folder}/{job}_*.log. The same command with "
        "--dry-run tells how far they are, and with --report writes tables. Submitted again, more workers join."
    )


def _for_workers(arguments: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for argument in arguments:
        name, equals, _ = argument.partition("=")
        if name in NOT_FOR_WORKERS:
            skip = not equals
        elif skip:
            skip = False
        else:
            kept.append(argument)
    return kept
