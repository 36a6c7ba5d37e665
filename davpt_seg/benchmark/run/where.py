"""Options for where runs train, and their meaning."""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Sequence
from typing import Optional

from ...errors import InputError
from ...packages import install
from ...runs.training import Launch
from .agenda import KEEP, Engine
from .devices import gpu_names
from .pool import Pool

ADDRESS = re.compile(r"auto|ray://[^/\s]+:\d+|local:[1-9]\d*")


def add_options(group: argparse._ArgumentGroup) -> None:
    """Add the options for starting runs."""
    add = group.add_argument
    add("--gpus", metavar="0,1,...", help="GPUs, with one run at a time on each")
    add("--jobs", type=int, metavar="N", help="runs at a time; default: 1, or all that fit into the cluster")
    add("--threads", type=int, metavar="N", help="CPU threads of each run (OMP_NUM_THREADS); on a cluster, its CPUs")
    add("--cluster", metavar="ADDRESS", help="Ray's: auto, ray://HOST:10001, or local:N for N CPUs of this host")
    add("--gpus-per-run", type=float, metavar="N", help="on a cluster; default: 1 on each node, if it has GPUs")
    add("--nodes", type=int, default=1, metavar="N", help="nodes of each run on a cluster, by torchrun; default: 1")
    add("--node-dir", metavar="DIR", help="folder on a node's disk for its runs; default: ~/.cache/davpt_seg/runs")
    add("--slurm", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)  # an option of older versions, refused by name
    add(
        "--keep-checkpoints",
        choices=KEEP,
        default="first",
        help="checkpoints of final runs to keep; search runs lose theirs after scoring. Default: the first seed's",
    )
    add("--tensorboard", action="store_true", help="write TensorBoard's files into each run's folder, too")
    add("--wandb", nargs="?", const="davpt_seg", metavar="PROJECT", help="log each run to Weights & Biases, too")
    add("--command", metavar="PROGRAM", help="program that trains, instead of 'python -m davpt_seg train'")


def launch_of(args: argparse.Namespace) -> Launch:
    """Return the way to start trainings.

    Raises:
        InputError: options that do not fit together, or a program that does not exist.
    """
    if args.slurm is not None:
        raise InputError(
            "--slurm was removed: a Ray cluster inside a Slurm job does the same, without a common file system. Submit "
            "tools/slurm_benchmark.sh with sbatch, which runs this command with --cluster auto; see docs/benchmark.md"
        )
    for option, value in (("--jobs", args.jobs), ("--threads", args.threads), ("--nodes", args.nodes)):
        if value is not None and value < 1:
            raise InputError(f"{option} {value}: at least one{' run at a time' if option == '--jobs' else ''}")
    if args.cluster is None:
        _check_no_cluster(args)
    else:
        _check_cluster(args)
    program, processes = _program(args.command), int(max(_gpus_per_node(args) or 1, 1))
    return Launch(program, args.threads, processes, watching=_watching(args))


def _watching(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the options of trainings for their curves.

    Raises:
        InputError: another program trains, or ``--wandb`` cannot work.
    """
    options = ["--tensorboard"] * args.tensorboard + [f"--wandb={args.wandb}"] * (args.wandb is not None)
    if options and args.command is not None:
        raise InputError(f"{options[0].partition('=')[0]} is for our trainings, and --command names another program")
    return tuple(options)


def engine_of(args: argparse.Namespace) -> Engine:
    """Return the engine: this machine, or a cluster.

    Raises:
        InputError: the cluster cannot be reached, or Ray is not installed.
    """
    if args.cluster is None:
        return Pool(slots(args))
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    if args.cluster.startswith("local:"):
        os.environ.setdefault("RAY_worker_niceness", "0")  # as without a cluster; Ray's 15 starves on a busy machine
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # else Ray writes one into ~/.ray
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    try:
        from .cluster import Cluster
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise InputError(f"--cluster needs Ray: {install('ray')}") from None
    gpus = _gpus_per_node(args)
    return Cluster(args.cluster, args.nodes, args.threads or 1, gpus, args.jobs, args.node_dir)


def _gpus_per_node(args: argparse.Namespace) -> Optional[float]:
    return None if args.gpus_per_run is None else args.gpus_per_run / args.nodes


def slots(args: argparse.Namespace) -> Sequence[dict[str, str]]:
    """Return the environment variables of each slot of this machine.

    Raises:
        InputError: both GPUs and a number of runs are given.
    """
    if args.gpus is None:
        return [{} for _ in range(args.jobs or 1)]
    if args.jobs is not None:
        raise InputError("--gpus sets the number of runs at a time; omit --jobs (0,0,1,1 is two on each GPU)")
    return [{"CUDA_VISIBLE_DEVICES": name} for name in gpu_names(args.gpus)]


def own_gpus(args: argparse.Namespace) -> Optional[list[str]]:
    """Return the GPUs of this host that runs use; None if a cluster assigns them, or another program trains."""
    if args.cluster is not None or args.command is not None:
        return None
    return [slot["CUDA_VISIBLE_DEVICES"] for slot in slots(args) if slot]


def _check_no_cluster(args: argparse.Namespace) -> None:
    for option, value in (("--gpus-per-run", args.gpus_per_run), ("--node-dir", args.node_dir)):
        if value is not None:
            raise InputError(f"{option} is for --cluster; on this host, --gpus 0,1 gives each run one GPU")
    if args.nodes != 1:
        raise InputError("--nodes is for --cluster")


def _check_cluster(args: argparse.Namespace) -> None:
    if not ADDRESS.fullmatch(args.cluster):
        raise InputError(
            f"--cluster {args.cluster}: expected auto, ray://HOST:10001, or local:N for N CPUs of this host"
        )
    if args.gpus is not None:
        raise InputError("--gpus is for this host; a cluster gives GPUs to runs itself: --gpus-per-run 1")
    share = args.gpus_per_run
    if share is not None and not (0 <= share <= 1 or (share > 1 and share % 1 == 0)):  # nor nan
        raise InputError(f"--gpus-per-run {share:g}: give an integer, or a share of one GPU such as 0.5")
    if share is not None and args.nodes > 1 and share % args.nodes:
        raise InputError(
            f"--gpus-per-run {share:g} --nodes {args.nodes}: each node gives a run the same number of GPUs; give a "
            f"multiple of {args.nodes}, or 0 to train on CPUs"
        )


def _program(command: Optional[str]) -> Optional[tuple[str, ...]]:
    if command is None:
        return None
    words = tuple(shlex.split(command))
    if not words or shutil.which(words[0]) is None:
        raise InputError(f"--command {command!r}: there is no such program")
    return words
