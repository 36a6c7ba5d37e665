"""A training: what its command line says, and how its process is started."""

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
    """What is trained and how it is scored.

    Args:
        key: its folder below the work dir.
        words: the experiment, as ``davpt-seg train`` takes it.
        options: further arguments.
        seed: of its random numbers.
        stage: ``final``, scored on test images; ``search``, scored on validation images, which may diverge; or
            another one, scored on validation images.
        metric: key of its score in ``scores.json``.
        definition: all that its result depends on, as ``run.json`` holds it.
        keep: whether its last checkpoint stays.
        files: names of what it writes beside its scores, without which it has not ended.
    """

    key: str
    words: str
    options: tuple[str, ...]
    seed: int
    stage: str
    metric: str
    definition: Mapping[str, Any]
    keep: bool
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class Meeting:
    """Where the nodes of one training find one another.

    Args:
        address, port: of the first node.
        nodes: number of nodes.
        node: number of this one, from 0.
    """

    address: str
    port: int
    nodes: int
    node: int = 0

    def options(self) -> tuple[str, ...]:
        """Return what torchrun takes."""
        here = (f"--nnodes={self.nodes}", f"--node-rank={self.node}")
        return (*here, f"--master-addr={self.address}", f"--master-port={self.port}")


@dataclass(frozen=True)
class Launch:
    """How trainings are started, the same for all.

    Args:
        program: what trains; None is ``python -m davpt_seg train`` with this process's Python.
        threads: ``OMP_NUM_THREADS`` of each; None leaves it alone.
        processes: number of processes of a training on a node; several are started by torchrun.
        inherited: descriptors that trainings inherit, such as the lock of the work dir.
        meeting: of a training on several nodes; None on one.
    """

    program: Optional[tuple[str, ...]] = None
    threads: Optional[int] = None
    processes: int = 1
    inherited: tuple[int, ...] = ()
    meeting: Optional[Meeting] = None

    def command(self, training: Training, folder: Path) -> list[str]:
        """Return a training's command line; it resumes what it finds in its folder, and tests at the end."""
        program = list(self.program or (sys.executable, *OURS))
        files = ["--work-dir", str(folder), "--resume", "--test", str(folder / "scores.json")]
        if self.processes > 1 or self.meeting is not None:
            where = ("--standalone",) if self.meeting is None else self.meeting.options()
            program = [sys.executable, *TORCHRUN, *where, f"--nproc-per-node={self.processes}", *program]
            files += ["--launcher", "pytorch"]
        return [*program, training.words, *files, *training.options]

    def environment(self, slot: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a training on a slot, which may name its GPU."""
        threads = {} if self.threads is None else {"OMP_NUM_THREADS": str(self.threads)}
        return {**os.environ, **threads, **slot}


def check_same(definition: Mapping[str, Any], folder: Path) -> None:
    """See that a run's folder is new, or was made for the same run.

    Raises:
        InputError: it was made for another run.
    """
    before = read_json(folder / "run.json")
    if before is not None and _comparable(before) != _comparable(definition):
        raise InputError(
            f"{folder} holds a run of {before}, but the plan and chosen.json ask for {dict(definition)} there; give "
            "another --work-dir, or, of final runs, put the chosen.json back that they were made for"
        )


def define(training: Training, folder: Path) -> None:
    """Write ``run.json`` into a run's folder, where it is new.

    Raises:
        InputError: see :func:`check_same`.
    """
    check_same(training.definition, folder)
    if read_json(folder / "run.json") is None:
        write_json(folder / "run.json", training.definition)


def _comparable(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Take the order out of a run's words, which changes nothing that is trained."""
    return {**definition, "words": sorted(str(definition.get("words")).split(","))}
