"""Check of the GPUs that a benchmark uses, before the first run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence

from ...errors import InputError

NAME = re.compile(r"\d+|(GPU|MIG)-[\w/-]+", re.ASCII)  # as in CUDA_VISIBLE_DEVICES
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
    """Check in a separate process that torch finds GPUs, because a training without them would run on the CPU.

    Args:
        names: names from ``--gpus``; if empty, those of ``CUDA_VISIBLE_DEVICES``, which slurm sets.

    Raises:
        InputError: one of them does not exist, or is hidden from this process.
    """
    given = os.environ.get("CUDA_VISIBLE_DEVICES")
    visible = [name.strip() for name in given.split(",")] if given else []
    hidden = [name for name in names if given is not None and name not in visible]
    if hidden:
        raise InputError(
            f"--gpus: CUDA_VISIBLE_DEVICES={given!r} hides GPU {', '.join(hidden)}; name GPUs that it lists, or unset "
            f"it; {ON_CPUS}"
        )
    used = list(dict.fromkeys(names or visible))
    found = gpu_count(used) if used else 0
    if found < len(used):
        what = "--gpus" if names else "CUDA_VISIBLE_DEVICES"
        undo = ON_CPUS if names else "to train on the CPU, set CUDA_VISIBLE_DEVICES= to nothing"
        raise InputError(
            f"{what} {','.join(used)}: torch finds no GPU {used[found]} on this host, and a run would train on the "
            f"CPU. Name GPUs that 'nvidia-smi -L' lists ('davpt-seg info' shows what torch finds); {undo}"
        )


def gpus_found() -> int:
    """Return the number of GPUs that torch finds in this process."""
    import torch  # takes a second or more; check_plan has imported it

    return torch.cuda.device_count()


def gpu_count(names: Sequence[str]) -> int:
    """Return the number of GPUs that torch finds if only these are visible; it stops at the first missing one."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ",".join(names)}
    asked = subprocess.run([sys.executable, "-c", COUNT], env=environment, capture_output=True, text=True)
    if asked.returncode:
        raise InputError(f"--gpus: torch cannot be asked for GPUs: {asked.stderr.strip()[-300:]}")
    return int(asked.stdout.split()[-1])
