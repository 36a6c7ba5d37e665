"""E2VPT's pruning: ``davpt-seg prune``, ``tools/prune.py``."""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..errors import InputError
from ..experiments.option_values import option_texts
from ..experiments.words import SEGMENTATION, SHARES, words_of
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import command_line, for_help, program
from .config_argument import add_cfg_options

if TYPE_CHECKING:
    from mmengine.config import Config

    from ..core.prompts.importance import Importance

HELP = """\
E2VPT's pruning (arXiv 2307.13770): find the prompts, and the segments of each, on which the loss depends least; remove
them; train the others from new initial values.

With CHECKPOINT: one step. Measures a trained model on held-out images, writes the importances and a figure of the
pruning, and prints the command that trains the remaining prompts: with words, or with FILE.py, the config of the pruned
experiment.

Without CHECKPOINT: the complete cycle, a plan of davpt-seg benchmark in DIR. The experiment is trained and measured
(split=choose), each pair of shares is trained and scored on the validation images, and with --test the best one is
trained on all training images and tested, once for each seed (split=final). After a stop or a kill, the same command
resumes. Other options of davpt-seg benchmark, such as --gpus, --jobs, --threads and --report, are passed on.

examples:
  {prune} WORDS CHECKPOINT --out importance.json --prompt-share 0.5 --segment-share 0.5
  {train} WORDS,importance=importance.json,prompt_share=0.5,segment_share=0.5 --amp
  {prune} method=e2vpt,trunk=vitb_in21k,data=vtab/dtd --work-dir work_dirs/pruning/dtd \\
      --prompt-share 0.1 0.3 0.5 0.7 0.9 --segment-share 0.1 0.5 0.9 --amp --test"""
SEVERAL_GPUS = (
    "pruning runs in one process (a cycle takes --gpus). On several GPUs, train with tools/dist_train.sh, "
    "prune the checkpoint by {prune} CONFIG CHECKPOINT --out pruned.py, and train that with tools/dist_train.sh"
)


@command
def main_prune(argv: Optional[Sequence[str]] = None) -> Optional[int]:
    """Prune a checkpoint's prompts, or run a complete cycle.

    Returns:
        The exit status of a cycle.
    """
    parser = _parser()
    args, others = parser.parse_known_args(argv)
    if args.launcher != "none" or int(os.environ.get("WORLD_SIZE", 1)) > 1:
        raise InputError(SEVERAL_GPUS.format(prune=program("prune")))
    if not args.checkpoint:
        return _run_cycle(args, others)
    if others:
        parser.refuse(others)
    _prune_checkpoint(args)
    return None


def _parser() -> CommandParser:
    parser = CommandParser(
        description=for_help(HELP),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s CONFIG CHECKPOINT --out FILE [options]\n       %(prog)s WORDS [--work-dir DIR] [options]",
        allow_abbrev=False,  # other options belong to the benchmark
    )
    add = parser.add_argument
    several: dict[str, Any] = dict(nargs="+", type=float, default=[0.5], metavar="0..1")
    add("config", help="words of an experiment; with CHECKPOINT, also a file or a name that davpt-seg configs lists")
    add("checkpoint", nargs="?", help="a .pth file that a training wrote")
    add("--prompt-share", **several, help="share of the prompts to remove; several for a cycle; default: 0.5")
    add("--segment-share", **several, help="share of the segments to remove from each prompt that stays; default: 0.5")
    add("--rank-by", choices=("masks", "segments"), default="masks", help=words_of(SEGMENTATION)["rank_by"].meaning)
    add_cfg_options(parser, "as in training")
    add("--dry-run", action="store_true", help="check everything, print the steps, and stop")
    add("--launcher", default="none", help=argparse.SUPPRESS)
    add = parser.add_argument_group("one step, with CHECKPOINT").add_argument
    add("--out", type=Path, metavar="FILE", help="importances (.json), or the pruned config (.py), to write")
    add("--segments", type=int, metavar="N", help="segments of a prompt; default: 16, as in E2VPT")
    add("--split", choices=("val", "train"), help="images to measure on, never augmented; default: val")
    add("--images", type=int, metavar="N", help="number of them, drawn at random; default: all")
    add = parser.add_argument_group("cycle").add_argument
    add("--work-dir", type=Path, metavar="DIR", help="default: work_dirs/pruning/METHOD/WORDS")
    add("--amp", action="store_true", help="train in mixed precision")
    add("--test", action="store_true", help="train the best one on all training images, and test it")
    add("--seeds", nargs="+", type=int, metavar="N", help="seeds of --test: number (5), or list (0 3 7); default: 1")
    return parser


def _refuse(args: argparse.Namespace, names: Sequence[str], advice: str) -> None:
    for name in names:
        if getattr(args, name) not in (None, False):
            raise InputError(f"--{name.replace('_', '-')} {advice}")


def _prune_checkpoint(args: argparse.Namespace) -> None:
    from mmengine.device import get_device

    from ..core.prompts.importance import staying
    from ..experiments.shares import alike, check_prunable
    from ..training.measure import images_to_measure, measure
    from ..training.trained_checkpoint import build_trained
    from ..visualization.pruning import pruning_picture
    from .config_argument import check_data, read_config

    _check_one_step(args)
    stem = args.out.with_suffix(".importance" if args.out.suffix == ".py" else "")
    record, figure = (stem.with_name(f"{stem.name}.{kind}") for kind in ("json", "png"))
    for file in (args.out, record, figure):
        if file.exists():
            raise InputError(f"{file} exists already; name another --out, or remove it")
    cfg = read_config(args.config, args.cfg_options)
    if "model" not in cfg:
        raise InputError(f"{args.config} has no model: give an experiment, not a part of one")
    shares, split = (args.prompt_share[0], args.segment_share[0]), args.split or "val"
    count = check_prunable(cfg, args.config)
    check_data(cfg, ("val", "test") if split == "val" else ("train",))
    batches = images_to_measure(cfg, split, args.images, args.config)
    images: Any = batches.dataset
    print(f"Importance is measured on {len(images)} images.")
    segments = 16 if args.segments is None else args.segments
    pruned = _pruned(cfg, alike(count, segments), shares, args.config)
    print(f"Prompts in each block: {count} -> {_counts(cfg, pruned, segments)}")
    model = build_trained(cfg, args.checkpoint, f"{args.config} with these --cfg-options").to(get_device())
    if args.dry_run:
        print(f"Dry run: config, checkpoint and data are fine; omit --dry-run to measure and write {args.out}.")
        return
    origin = dict(config=args.config, checkpoint=args.checkpoint, split=split)
    importance, on = measure(model, batches, segments, str(record), **origin)
    importance = importance.ranked(args.rank_by)
    stays = staying(importance, *shares)
    pruning_picture(*(values.numpy() for values in (*importance, stays))).savefig(figure)
    prompts = ", ".join(map(str, stays.any(dim=1).nonzero().flatten().tolist()))
    print(f"Measured on {on}.\nStays: prompts {prompts} (from 0); {int(stays.sum())} of {stays.numel()} segments.")
    words, options = str(args.out), list[str]()
    if args.out.suffix == ".py":
        about = f"# {args.config}, {shares[0]:.0%} of the prompts, {shares[1]:.0%} of the segments removed\n"
        args.out.write_text(about + _pruned(cfg, importance, shares, args.config).pretty_text)
    else:
        ranked = f",rank_by={args.rank_by}" * (args.rank_by != "masks")
        words = f"{args.config},importance={record},prompt_share={shares[0]},segment_share={shares[1]}{ranked}"
        options = ["--cfg-options", *option_texts(args.cfg_options)] if args.cfg_options else []
    print(f"Importance: {record}\nFigure: {figure}")
    print(f"Next, from new initial values: {command_line('train', words, *options)}")


def _check_one_step(args: argparse.Namespace) -> None:
    from ..experiments.compose import asks_for_composition

    _refuse(args, ("work_dir", "amp", "test", "seeds"), "is for a cycle, which trains: omit CHECKPOINT, or this option")
    if args.out is None or args.out.suffix not in (".py", ".json"):
        raise InputError("CONFIG CHECKPOINT needs --out FILE.json, importances to write, or FILE.py, a config")
    if args.out.suffix == ".json" and not asks_for_composition(args.config):
        raise InputError(f"{args.config} is a file, not words: give --out FILE.py, the config to write")
    if len(args.prompt_share) > 1 or len(args.segment_share) > 1:
        raise InputError("several shares need a cycle, which chooses: omit CHECKPOINT, or give one share of each")
    if args.images is not None and args.images < 1:
        raise InputError(f"--images must be at least 1, got {args.images}")


def _pruned(cfg: Config, importance: Importance, shares: tuple[float, float], name: str) -> Config:
    from ..experiments.shares import prune

    copied = copy.deepcopy(cfg)
    prune(copied, importance, *shares, name)
    return copied


def _counts(complete: Config, pruned: Config, segments: int) -> str:
    """Count the prompts that stay, and the parameters before and after."""
    from ..training.model import build_on_meta, count_parameters

    model = build_on_meta(complete)
    width: Any = model.get_submodule("backbone").embed_dim
    if segments < 1 or width % segments:
        raise InputError(f"--segments {segments} do not divide the ViT's width of {width}; E2VPT takes 16")
    old, new = count_parameters(model), count_parameters(build_on_meta(pruned))
    return (
        f"{len(pruned.model.backbone.prompts.segments)}; tuned in the ViT: {old.backbone_trained:,} -> "
        f"{new.backbone_trained:,}, in all: {old.trained:,} -> {new.trained:,}"
    )


def _run_cycle(args: argparse.Namespace, others: Sequence[str]) -> int:
    from ..benchmark.command import main_benchmark
    from ..benchmark.plan.tasks import kind_of
    from ..experiments.compose import asks_for_composition, compose_from_words, read_words
    from ..experiments.parts import label_of
    from ..experiments.shares import check_prunable

    _refuse(args, ("out", "segments", "split", "images"), "is for one step: give CHECKPOINT, or omit this option")
    if not asks_for_composition(args.config):
        raise InputError(
            f"without CHECKPOINT, prune runs a cycle, and {args.config} is a file; a cycle is a plan of words "
            f"(method=e2vpt,trunk=...,data=...). Give words, or take one step at a time: {program('train')} CONFIG, "
            f"{program('prune')} CONFIG CHECKPOINT --out pruned.py"
        )
    if args.seeds and not args.test:
        raise InputError("--seeds needs --test")
    words = read_words(args.config)
    if "split" in words:
        raise InputError(f"{args.config}: omit split=; a cycle chooses by split=choose, and tests by split=final")
    cfg = compose_from_words(args.config)
    check_prunable(cfg, args.config)
    known = words_of(kind_of(words.get("data", "")))
    method, trunk, data = (words.pop(name, known[name].default) for name in ("method", "trunk", "data"))
    grid = {name: list(dict.fromkeys(getattr(args, name))) for name in SHARES}
    ranked = {} if args.rank_by == "masks" else {"rank_by": args.rank_by}
    plan = dict(
        tasks=[data],
        trunks=[trunk],
        methods={label_of(method): dict(method=method, importance={}, grid=grid, **words, **ranked)},
        seeds=args.seeds[0] if args.seeds and len(args.seeds) == 1 else args.seeds or 1,
        amp=args.amp,
        cfg_options=option_texts(args.cfg_options or {}),
    )
    folder = args.work_dir or Path("work_dirs", "pruning", *Path(cfg.filename).with_suffix("").parts[-2:])
    flags = [*(["--dry-run"] if args.dry_run else []), *([] if args.test else ["--search-only"])]
    status = main_benchmark([*others, *flags, "--work-dir", str(folder)], plan)
    if status == 0 and not args.test and not args.dry_run:
        print("Next: the same command with --test, once.")
    return status
