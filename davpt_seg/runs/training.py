"""Training: its command line, and the start of its process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from .json_files import read_json, write_json

OURS = ("-m", "davpt_seg", "train")
TORCHRUN = ("-m", "davpt_seg.runs.torchrun", "--no-python")


@dataclass(frozen=True)
class Training:
    """Training with its scoring.

    Args:
        key: folder below the work dir.
        words: words of the experiment, for ``davpt-seg train``.
        options: further arguments.
        seed: random seed.
        stage: ``final``, scored on test images; ``search``, scored on validation images and allowed to diverge; or
            another one, scored on validation images.
        metric: key of the score in ``scores.json``.
        definition: all that the result depends on, for ``run.json``.
        keep: whether to keep the last checkpoint.
        to_percent: factor from that value to the score in percent.
        files: names of files that it writes besides its scores; it has ended only if they exist.
    """

    key: str
    words: str
    options: tuple[str, ...]
    seed: int
    stage: str
    metric: str
    definition: Mapping[str, Any]
    keep: bool
    to_percent: float = 1
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meeting:
    """Rendezvous of the nodes of one training.

    Args:
        address, port: address and port of the first node.
        nodes: number of nodes.
        node: index of this node, from 0.
    """

    address: str
    port: int
    nodes: int
    node: int = 0

    def options(self) -> tuple[str, ...]:
        """Return the options for torchrun."""
        here = (f"--nnodes={self.nodes}", f"--node-rank={self.node}")
        return (*here, f"--master-addr={self.address}", f"--master-port={self.port}")


@dataclass(frozen=True)
class Launch:
    """Way to start trainings, the same for all.

    Args:
        program: program that trains; None is ``python -m davpt_seg train`` with this process's Python.
        threads: value of ``OMP_NUM_THREADS``; None does not set it.
        processes: number of processes of a training on a node; several are started by torchrun.
        inherited: descriptors that trainings inherit, such as the lock of the work dir.
        meeting: rendezvous of a training on several nodes; None on one.
        watching: options that write further curves, ``--tensorboard`` and ``--wandb=PROJECT``.
    """

    program: Optional[tuple[str, ...]] = None
    threads: Optional[int] = None
    processes: int = 1
    inherited: tuple[int, ...] = ()
    meeting: Optional[Meeting] = None
    watching: tuple[str, ...] = ()

    def command(self, training: Training, folder: Path) -> list[str]:
        """Return a training's command line, which resumes from its folder and tests at the end."""
        program = list(self.program or (sys.executable, *OURS))
        files = ["--work-dir", str(folder), "--resume", "--test", str(folder / "scores.json")]
        if self.processes > 1 or self.meeting is not None:
            where = ("--standalone",) if self.meeting is None else self.meeting.options()
            program = [sys.executable, *TORCHRUN, *where, f"--nproc-per-node={self.processes}", *program]
            files += ["--launcher", "pytorch"]
        return [*program, training.words, *files, *self.watching, *training.options]

    def environment(self, training: Training, slot: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a training on a slot, which may name its GPU; a W&B run has the training's name."""
        named = {"WANDB_NAME": training.key} if self.watching else {}
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        return {**os.environ, **threads, **named, **slot}


def check_same(definition: Mapping[str, Any], folder: Path) -> None:
    """Check that a run's folder is new, or belongs to the same run.

    Raises:
        InputError: it belongs to another run.
    """
    before = read_json(folder / "run.json")
    if before is not None and _comparable(before) != _comparable(definition):
        raise InputError(
            f"{folder} holds a run of {before}, but the plan and chosen.json require {dict(definition)} there; give "
            "another --work-dir or, for final runs, restore their original chosen.json"
        )


def define(training: Training, folder: Path) -> None:
    """Write ``run.json`` into a new run's folder.

    Raises:
        InputError: see :func:`check_same`.
    """
    check_same(training.definition, folder)
    if read_json(folder / "run.json") is None:
        write_json(folder / "run.json", training.definition)


def _comparable(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Sort a run's words, because their order does not change the training."""
    return {**definition, "words": sorted(str(definition.get("words")).split(","))}
