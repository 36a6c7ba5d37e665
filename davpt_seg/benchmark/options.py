"""Command line of a benchmark, and its plan: that of a file, changed by the command line."""

from __future__ import annotations

import argparse
import os.path as osp
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from ..errors import InputError
from ..terminal.parser import CommandParser
from .plan.parts import read
from .plan.plan import Plan, plan_of
from .plan.reading import find_plan, read_plan
from .plan.schema import PlanFile
from .plan.space import SAMPLERS
from .run.where import add_options

DESCRIPTION = """\
Run tasks x trunks x methods x seeds, and write one table of all.

Hyper-parameters are searched on the validation split (split=choose). When a search is over, its choice is written to
chosen.json; only then one run for each seed is trained on all training images and tested, once (split=final).
After a stop or a kill, the same command resumes; finished runs are never repeated."""

EXAMPLES = """\
examples:
  %(prog)s vtab --dry-run                                    list the runs and their states
  %(prog)s vtab --trunks vitb_augreg_in21k --methods linear davpt   a part of a plan of configs/benchmarks
  %(prog)s vtab --tasks vtab/natural vtab/dtd                groups and tasks
  %(prog)s methods_camvid                                    segmentation: every method on CamVid
  %(prog)s ablations/blocks --setting camvid                 an ablation, with its figures; on CamVid
  %(prog)s --list                                            list all plans of this package
  %(prog)s vtab --gpus 0,1,2,3                               one run on each GPU; 0,0,1,1 for two on each
  %(prog)s vtab --jobs 2 --threads 1                         on CPUs
  %(prog)s vtab --cluster auto                               on all nodes of the Ray cluster that runs here
  %(prog)s vtab --cluster ray://HOST:10001                   on those of another one, such as a Slurm job
  %(prog)s --tasks vtab/dtd --trunks vitb_augreg_in21k --methods davpt --grid lr=1e-3,5e-3 --set epochs=10 \\
      --work-dir work_dirs/benchmarks/try                    no plan file at all
  %(prog)s vtab --methods davpt --grid lr=1e-4:1e-2 --sampler tpe --trials 20 --work-dir work_dirs/benchmarks/tpe
  %(prog)s vtab --report                                     tables and figures of the results so far

docs/benchmark.md describes plans, files, and what the protocol guarantees."""

# Options that change the plan; a plan of another command takes none.
PLANNED = ("tasks", "trunks", "methods", "seeds", "grid", "sampler", "trials", "set", "amp")


def parser() -> CommandParser:
    """Return the parser of the command line."""
    made = CommandParser(
        description=f"{DESCRIPTION}\n\n{EXAMPLES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    made.add_argument("plan", nargs="?", help="a YAML file, or a name of configs/benchmarks: vtab, methods_camvid ...")
    made.add_argument("--work-dir", type=_folder, metavar="DIR", help="default: work_dirs/benchmarks/PLAN[/SETTING]")
    what = made.add_argument_group("what is run (a part of a plan file, or, without a file, a new plan)")
    what.add_argument("--setting", metavar="NAME", help="setting of a plan with several, such as cifar10_1k or camvid")
    what.add_argument("--tasks", nargs="+", metavar="TASK", help="vtab, vtab/natural, vtab/dtd, fgvc/cub, ade20k ...")
    what.add_argument("--trunks", nargs="+", metavar="TRUNK", help="vitb_augreg_in21k, vitb_mae, vitb_mocov3 ...")
    what.add_argument("--methods", nargs="+", metavar="METHOD", help="linear, vpt_deep, davpt, or a plan's variants")
    what.add_argument("--seeds", nargs="+", type=int, metavar="N", help="final runs: number (5), or seeds (0 3 7)")
    what.add_argument("--grid", nargs="+", metavar="KEY=V,V", help="search lr=1e-3,1e-2, or a range lr=1e-4:1e-2")
    what.add_argument("--sampler", choices=SAMPLERS, help="grid (default) tries all; tpe is Optuna's, for --trials")
    what.add_argument("--trials", type=int, metavar="N", help="trials of each search by tpe")
    what.add_argument("--set", nargs="+", metavar="KEY=VALUE", help="values for all runs: epochs=10 batch_size=32")
    what.add_argument("--amp", action=argparse.BooleanOptionalAction, help="mixed precision; default: the plan's")
    how = made.add_argument_group("how")
    add_options(how)
    how.add_argument("--search-only", action="store_true", help="stop after the choice, before any test")
    only = made.add_mutually_exclusive_group()
    only.add_argument("--list", action="store_true", help="list the plans of this package, and stop")
    only.add_argument("--dry-run", action="store_true", help="list all runs and their problems, and stop")
    only.add_argument("--report", action="store_true", help="write tables and figures of the results so far, and stop")
    return made


def _folder(text: str) -> Path:
    if not text.strip():  # or Path would take the current folder
        raise argparse.ArgumentTypeError("it is empty; is its variable set?")
    return Path(text)


def plan_asked_for(args: argparse.Namespace, content: Optional[Mapping[str, Any]] = None) -> tuple[Plan, Path]:
    """Return the plan that the command line asks for, and the folder of its runs.

    Args:
        args: parsed command line.
        content: plan of another command, in place of a file.

    Raises:
        InputError: the plan or the command line cannot be run.
    """
    typed: dict[str, Any] = {"sampler": args.sampler, "trials": args.trials, "amp": args.amp}
    if args.seeds:
        typed["seeds"] = args.seeds[0] if len(args.seeds) == 1 else args.seeds
    if args.set:
        typed["common"] = dict(_pair(word, "--set") for word in args.set)
    if args.grid:
        typed["grid"] = {key: _axis(values) for key, values in (_pair(word, "--grid") for word in args.grid)}
    if args.plan is None:
        return _without_file(args, content, typed), args.work_dir
    path = find_plan(args.plan)
    typed_plan = read(PlanFile, typed)
    plan = read_plan(path, args.setting, typed_plan)
    name = path.with_suffix("").name if osp.isfile(args.plan) else args.plan
    folder = args.work_dir or Path("work_dirs", "benchmarks", name, *plan.settings)
    narrowed = plan_of(plan).narrowed(args.tasks or (), args.trunks or (), args.methods or ())
    _check_set(narrowed, typed_plan.common, path)
    return narrowed, folder


def _check_set(plan: Plan, words: Mapping[str, Any], path: Path) -> None:
    """Refuse words of ``--set`` that a method sets or searches itself: its own would win, and its name may tell them.

    Raises:
        InputError: there is one.
    """
    for study in plan.studies:
        for key, value in words.items():
            if key in study.space.axes:
                own = f"searches {key} itself; to fix it, type --grid {key}={value}"
            elif study.words.get(key) != value:
                own = f"sets {key}={study.words.get(key)} itself; omit it by --methods, or change a copy of {path}"
            else:
                continue
            raise InputError(f"--set {key}={value}: method {study.name!r} of the plan {own}")


def _without_file(args: argparse.Namespace, content: Optional[Mapping[str, Any]], typed: Mapping[str, Any]) -> Plan:
    if args.setting:
        raise InputError(f"--setting {args.setting} needs a plan file; name one before it")
    if args.work_dir is None:
        raise InputError("without a plan file, name a --work-dir, such as work_dirs/benchmarks/try")
    if content is None:
        named = {"tasks": args.tasks, "trunks": args.trunks, "methods": args.methods}
        return plan_of(read(PlanFile, {**typed, **named}))
    if given := [key for key in PLANNED if getattr(args, key)]:
        raise InputError(f"--{given[0]} is for plans of davpt-seg benchmark; set it in the words of the cycle: lr=1e-3")
    return plan_of(content)


def _pair(word: str, option: str) -> tuple[str, str]:
    key, equals, value = word.partition("=")
    if not (equals and key and value):
        raise InputError(f"{option}: {word!r} is no KEY=VALUE")
    return key, value


def _axis(values: str) -> Any:
    """Parse ``1e-3,1e-2`` as values and ``1e-4:1e-2`` as a range on a logarithmic scale."""
    low, colon, high = values.partition(":")
    return {"low": low, "high": high} if colon else values.split(",")
