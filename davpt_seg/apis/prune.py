"""E2VPT's two-stage pruning from the command line: ``tools/prune.py``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from ..commands.config_argument import check_data, read_config
from ..core.adapters.pruning import pruned, staying
from ..errors import InputError
from ..training.model import build_on_meta, count_parameters
from ..training.start import check_weights
from .prune_arguments import parse
from .prune_check import Shares, check_prunable, combined
from .prune_cycle import Cycle
from .prune_data import count_images, loader_to_measure
from .prune_experiment import read_experiment
from .prune_files import draw_pruned, pruned_config
from .prune_importance import Measured, measure
from .prune_stage import settle
from .prune_table import cycle_table, pruned_counts
from .trained import load_trained


def main_prune(argv: Optional[Sequence[str]] = None) -> None:
    """Prune a checkpoint's prompts, or run a whole cycle: ``tools/prune.py CONFIG [CHECKPOINT]``."""
    parser, args = parse(argv)
    try:
        if args.checkpoint:
            _prune_checkpoint(parser, args)
        else:
            _run_cycle(parser, args)
    except InputError as error:
        parser.error(str(error))
    except KeyboardInterrupt:
        print("Interrupted. The same command goes on.", file=sys.stderr)
        sys.exit(130)


def _prune_checkpoint(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    cfg = read_config(parser, args.config, args.cfg_options)
    count = _check_model(cfg, args)
    (shares,) = combined(args.prompt_share, args.segment_share, count, args.segments)
    record, picture = (args.out.with_suffix(f".importance{ending}") for ending in (".json", ".png"))
    for file in (args.out, record, picture):
        if file.exists():
            raise InputError(f"{file} exists already; name another --out, or remove it")
    check_data(parser, cfg, ("val", "test") if args.split == "val" else ("train",))
    loader = loader_to_measure(cfg, args.split, args.images, args.config)
    print(f"Importance is measured on {count_images(cfg, loader, args.config)} images.")
    print(_before_and_after(cfg, count, args.segments, shares))
    if args.dry_run:
        load_trained(cfg, args.checkpoint, f"{args.config} with these --cfg-options")
        print(f"Dry run: config, checkpoint and data are fine; leave out --dry-run to measure and write {args.out}.")
        return
    measured = measure(cfg, args.checkpoint, loader, args.segments, args.config)
    measured.write(record)
    measured = measured.ranked(args.rank_by)
    settle(
        pruned_config(cfg, pruned(measured.importance, *shares)),
        args.out,
        f"{args.config}, {shares.in_words()} removed",
    )
    draw_pruned(measured, shares, picture)
    print(_kept_in_words(measured, shares))
    print(f"Importance: {record}\nPicture: {picture}\nNext, from fresh values: python tools/train.py {args.out}")


def _run_cycle(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    experiment = read_experiment(parser, args.config, args.cfg_options)
    count = _check_model(experiment.choosing, args)
    cycle = Cycle(
        experiment=experiment,
        folder=args.work_dir
        or Path("work_dirs", "pruning", *Path(experiment.choosing.filename).with_suffix("").parts[-2:]),
        shares=combined(args.prompt_share, args.segment_share, count, args.segments),
        segments=args.segments,
        split=args.split,
        images=args.images,
        rank_by=args.rank_by,
        amp=args.amp,
        test=args.test,
    )
    cycle.check()
    check_data(parser, experiment.choosing, ("train", "val"))
    loader = loader_to_measure(experiment.choosing, args.split, args.images, args.config)
    print(f"Importance is measured on {count_images(experiment.choosing, loader, args.config)} images.")
    if args.test:
        check_data(parser, experiment.final, ("train", "test"))
    check_weights(experiment.choosing)
    if not args.dry_run:
        cycle.run()
    table = cycle_table(cycle, count)
    print(table)
    if args.dry_run:
        print(f"Dry run: everything is fine; leave out --dry-run to do what is left to do, in {cycle.folder}.")
        return
    (cycle.folder / "table.md").write_text(f"{table}\n")
    print(f"All of it is in {cycle.folder}.", "" if args.test else "Next: the same command with --test, once.")


def _check_model(cfg: Config, args: argparse.Namespace) -> int:
    if "model" not in cfg:
        raise InputError(f"{args.config} has no model: is it an experiment, or a part of one?")
    return check_prunable(cfg, args.config, args.segments)


def _before_and_after(cfg: Config, count: int, segments: int, shares: Shares) -> str:
    before = count_parameters(build_on_meta(cfg))
    left, after = pruned_counts(cfg, count, segments, shares)
    return (
        f"Prompts in each block: {count} -> {left}; tuned in the ViT: {before.backbone_trained:,} -> "
        f"{after.backbone_trained:,}, in all: {before.trained:,} -> {after.trained:,}"
    )


def _kept_in_words(measured: Measured, shares: Shares) -> str:
    stays = staying(measured.importance, *shares)
    prompts = ", ".join(map(str, stays.any(dim=1).nonzero().flatten().tolist()))
    return (
        f"Measured on {measured.in_words()}.\n"
        f"Stays: prompts {prompts} (from 0); {int(stays.sum())} of {stays.numel()} segments."
    )
