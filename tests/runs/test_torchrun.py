"""torchrun as trainings are started by it."""

from __future__ import annotations

import subprocess
import sys

from davpt_seg.errors import DIVERGED
from davpt_seg.runs.training import TORCHRUN


def test_a_training_that_diverges_under_torchrun_has_its_exit_status() -> None:
    program = ("--standalone", "--nproc-per-node=2", sys.executable, "-c", f"raise SystemExit({DIVERGED})")
    done = subprocess.run([sys.executable, *TORCHRUN, *program], capture_output=True, text=True)
    assert done.returncode == DIVERGED, done.stderr
    assert done.stderr == "torchrun: error: process 0 ended with exit status 3; its message is above\n"
