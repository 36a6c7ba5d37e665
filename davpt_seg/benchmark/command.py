"""Benchmarks: ``davpt-seg benchmark``, ``tools/run_benchmark.py``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..runs.lock import check_free, owner
from ..runs.training import Launch
from ..terminal.ending import command
from . import listing
from .options import parser, plan_asked_for
from .plan.plan import Drawings
from .plan.reading import known_plans
from .plan.study import Study
from .preflight import check_plan, missing_packages
from .report.report import write_report
from .run.agenda import Agenda, Engine, work
from .run.devices import gpus_found
from .run.protocol import Protocol
from .run.where import engine_of, launch_of, own_gpus

HOPELESS = (
    "every trial diverged or scored 0, so nothing is chosen and no final run starts. Search other values (lower rates, "
    "--grid lr=1e-4,1e-3) in another --work-dir"
)


@command
def main_benchmark(argv: Optional[Sequence[str]] = None, content: Optional[Mapping[str, Any]] = None) -> int:
    """Run a benchmark.

    Args:
        argv: arguments; by default those of the command line.
        content: plan of another command, in place of a file.

    Returns:
        0 if everything is done, 1 if a run failed, 130 if the command was interrupted.
    """
    options = parser()
    if content is not None:
        options.usage = "%(prog)s WORDS [options]"  # that command has another --help
    args = options.parse_args(argv)
    with ExitStack() as held:
        if args.list:
            print(listing.plans(known_plans()))
            return 0
        plan, root = plan_asked_for(args, content)
        if not (args.report or args.dry_run):
            check_free(root)
        studies = [replace(study, seeds=()) for study in plan.studies] if args.search_only else plan.studies
        protocols = [Protocol(study, root) for study in studies]
        for protocol in protocols:
            protocol.check()
        if args.report:
            _check_packages(())
            print(write_report(protocols, root, plan.drawings))
            for line in listing.in_progress(protocols):
                print(line)
            return 0
        launch = launch_of(args)
        if args.cluster is not None:
            _check_packages(studies)  # search and report run on this host; check_plan checks a node
        engine = engine_of(args)
        held.callback(engine.close)
        if args.dry_run:
            for line in listing.lines(protocols):
                print(line)
            sys.stdout.flush()  # before the messages on stderr
        gpus = own_gpus(args)
        tasks = "--tasks" if content is None else "the word data"
        compose, watching = args.command is None, launch.watching
        engine.check(check_plan, studies, compose=compose, gpus=gpus, tasks=tasks, watching=watching)
        if args.dry_run:
            return 0
        lock = held.enter_context(owner(root))
        for protocol in protocols:
            protocol.register()
        if gpus == [] and not gpus_found():
            print("torch finds no GPU on this host: runs train on the CPU.", flush=True)
        agenda = Agenda(protocols, args.keep_checkpoints, engine.capacity())
        return _run(agenda, engine, replace(launch, inherited=(lock,)), root, plan.drawings)


def _run(agenda: Agenda, engine: Engine, launch: Launch, root: Path, drawings: Drawings) -> int:
    """Run what is left, then write the report of the finished runs."""
    progress = agenda.progress
    print(f"{progress.total} runs in {root}; {progress.left()} of them left to do", flush=True)
    status = 0
    try:
        failed = work(agenda, engine, launch)
        if failed:
            status = 1
            print(f"{len(failed)} runs failed; the same command tries them again: {', '.join(failed)}", file=sys.stderr)
        for protocol in agenda.protocols:
            if protocol.hopeless():
                status = 1
                print(f"{protocol.study.key}: {HOPELESS}", file=sys.stderr)
    except KeyboardInterrupt:
        status = 130
        print("Interrupted. The same command resumes.", file=sys.stderr)
    except ConnectionError as error:
        status = 1
        print(f"error: the cluster is lost ({error}). The same command resumes on another one.", file=sys.stderr)
    except (InputError, OSError) as error:
        status = 2
        print(f"error: {error}", file=sys.stderr)
    print(write_report(agenda.protocols, root, drawings), flush=True)
    return status


def _check_packages(studies: Sequence[Study]) -> None:
    missing = list(missing_packages(studies))
    if missing:
        raise InputError("; ".join(missing))
