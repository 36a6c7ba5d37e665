"""``tools/run_benchmark.py``, also called ``davpt-seg benchmark``."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from . import listing
from .devices import gpus_found
from .execution import Launch
from .options import parser, plan_asked_for, slots, work_dir
from .plan.plan import Drawings
from .plan.reading import known_plans
from .preflight import PACKAGES, check_plan, missing_packages
from .report.report import write_report
from .run.protocol import Protocol
from .slurm import submit
from .workers import Pool

HOPELESS = (
    "every trial diverged or scored 0, so nothing is chosen and no final run starts. Search other values (lower rates, "
    "--grid lr=1e-4,1e-3) in another --work-dir"
)


def main_benchmark(argv: Optional[Sequence[str]] = None, content: Optional[Mapping[str, Any]] = None) -> int:
    """Run a benchmark.

    Args:
        argv: arguments; by default those of the command line.
        content: plan of another command, in place of a file's.

    Returns:
        0 where all of it is done, 1 where a run failed, 130 where it was interrupted.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parser()
    args = options.parse_args(arguments)
    try:
        if args.list:
            print(listing.plans(known_plans()))
            return 0
        plan = plan_asked_for(args, content)
        studies = [replace(study, seeds=()) for study in plan.studies] if args.search_only else plan.studies
        root = work_dir(args)
        protocols = [Protocol(study, root) for study in studies]
        for protocol in protocols:
            protocol.check()
        if args.report:
            _check_packages()
            print(write_report(protocols, root, plan.drawings))
            for line in listing.in_progress(protocols):
                print(line)
            return 0
        workers = slots(args.gpus, args.jobs)
        launch = Launch(program(args.command), session(), args.keep_checkpoints, args.threads)
        if args.dry_run:
            for line in listing.lines(protocols):
                print(line)
            sys.stdout.flush()  # before what is said of it on stderr
        gpus = _own_gpus(args, workers)
        check_plan(studies, compose=args.command is None, gpus=gpus)
        if args.dry_run:
            return 0
        for protocol in protocols:
            protocol.register()
        if args.slurm is not None:
            print(submit(arguments, args.slurm, len(workers), root))
            return 0
    except InputError as error:
        options.error(str(error))
    except BrokenPipeError:  # --dry-run | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would write the rest when it exits
        return 1
    except OSError as error:
        options.error(f"{error}; name a --work-dir that can be written")
    if gpus == [] and not gpus_found():
        print("torch finds no GPU on this host: runs train on the CPU.", flush=True)
    return _run(Pool(protocols, launch, workers), protocols, root, plan.drawings)


def _run(pool: Pool, protocols: Sequence[Protocol], root: Path, drawings: Drawings) -> int:
    print(f"{pool.progress.total} runs in {root}; {pool.progress.left()} of them left to do", flush=True)
    status = 0
    try:
        failed = pool.run()
        if failed:
            status = 1
            print(f"{len(failed)} runs failed; the same command tries them again: {', '.join(failed)}", file=sys.stderr)
        for protocol in protocols:
            if protocol.hopeless():
                status = 1
                print(f"{protocol.study.key}: {HOPELESS}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
        print("Interrupted. The same command goes on.", file=sys.stderr)
    except InputError as error:
        status = 2
        print(f"error: {error}", file=sys.stderr)
    try:
        print(write_report(protocols, root, drawings), flush=True)
    except InputError as error:  # a log that is damaged
        status = 2
        print(f"error: {error}", file=sys.stderr)
    return status


def _check_packages() -> None:
    missing = list(missing_packages(PACKAGES))
    if missing:
        raise InputError("; ".join(missing))


def _own_gpus(args: argparse.Namespace, workers: Sequence[Mapping[str, str]]) -> Optional[list[str]]:
    """Return the GPUs that runs of ours are to have on this host, none if no option names any; None for others' runs.

    Raises:
        InputError: slurm is to have the runs, which gives them GPUs itself.
    """
    if args.slurm is not None and args.gpus is not None:
        raise InputError("--gpus is for this host; ask slurm for GPUs: --slurm='--gres=gpu:1' --jobs 16 (workers)")
    if args.slurm is not None or args.command is not None:
        return None
    return [slot["CUDA_VISIBLE_DEVICES"] for slot in workers if slot]


def program(command: Optional[str]) -> tuple[str, ...]:
    """Return what trains.

    Raises:
        InputError: there is no such program.
    """
    if command is None:
        return sys.executable, "-m", "davpt_seg", "train"
    words = tuple(shlex.split(command))
    if not words or shutil.which(words[0]) is None:
        raise InputError(f"--command {command!r}: there is no such program")
    return words


def session() -> str:
    """Name this command; the workers of a slurm job array are one command."""
    job = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"slurm-{job}" if job else uuid.uuid4().hex
