"""GPUs that a benchmark is asked to train on, looked for before the first run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from ...errors import InputError

NAME = re.compile(r"\d+|(GPU|MIG)-[\w/-]+", re.ASCII)  # as CUDA_VISIBLE_DEVICES takes them
COUNT = "import torch; print(torch.cuda.device_count())"
ON_CPUS = "to train on the CPU, use --jobs and --threads instead"


def gpu_names(gpus: str) -> list[str]:
    """Read ``--gpus``.

    Raises:
        InputError: an entry that names no GPU.
    """
    names = [name.strip() for name in gpus.split(",")]
    if not all(map(NAME.fullmatch, names)):
        raise InputError(f"--gpus {gpus!r}: give numbers with commas between, such as 0,1,2 (or names: GPU-8932f937)")
    return [str(int(name)) if name.isdecimal() else name for name in names]


def check_gpus(names: Sequence[str]) -> None:
    """Ask torch for GPUs, in a process of its own, since a training would run on the CPU without them.

    Args:
        names: of ``--gpus``; without any, those of ``CUDA_VISIBLE_DEVICES``, which slurm sets.

    Raises:
        InputError: one of them is not there, or is hidden from this process.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [name.strip() for name in given.split(",")] if given else []
    hidden = [name for name in names if given is not None and name not in visible]
    if hidden:
        raise InputError(
            f"--gpus: CUDA_VISIBLE_DEVICES={given!r} hides GPU {', '.join(hidden)}; name GPUs that it lists, or unset "
            f"it; {ON_CPUS}"
        )
    wanted = list(dict.fromkeys(names or visible))
    found = gpu_count(wanted) if wanted else 0
    if found < len(wanted):
        what = "--gpus" if names else "CUDA_VISIBLE_DEVICES"
        undo = ON_CPUS if names else "to train on the CPU, set CUDA_VISIBLE_DEVICES= to nothing"
        raise InputError(
            f"{what} {','.join(wanted)}: torch finds no GPU {wanted[found]} on this host, and a run would train on the "
            f"CPU. Name GPUs that 'nvidia-smi -L' lists ('davpt-seg info' shows what torch finds); {undo}"
        )


def gpus_found() -> int:
    """Count the GPUs that torch finds in this process."""
    import torch  # a second or more; check_plan has imported it

    return torch.cuda.device_count()


def gpu_count(names: Sequence[str]) -> int:
    """Count the GPUs that torch finds when it may see these; it stops at the first that is not there."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(names)}
    asked = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True)
    if asked.returncode:
        raise InputError(f"--gpus: torch cannot be asked for GPUs: {asked.stderr.strip()[-300:]}")
    return int(asked.stdout.split()[-1])
