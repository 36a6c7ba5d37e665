"""The command line of ``tools/prune.py``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ..experiments.option_values import OptionsAction
from .prune_data import SPLITS
from .prune_importance import RANKINGS

HELP = """\
E2VPT's pruning (arXiv 2307.13770): measure which prompts, and which segments of each, matter least to the loss; remove
them; train what is left from fresh values.

With CHECKPOINT: one step. Measures a trained model on held-out images and writes the config of the pruned experiment,
the importances (FILE.importance.json) and a picture of what goes (FILE.importance.png).

Without CHECKPOINT: the whole cycle, in DIR. Stage 1 trains CONFIG, importance is measured, stage 2 trains anew with
each of the shares removed, and the best is chosen on validation images. --test then trains the chosen one as it is
reported and tests it, once. Stopped or killed, the same command goes on; what is done is not done again. CONFIG is
best words without split=: all but the last training then are of split=choose, the last one of split=final.

examples:
  python tools/prune.py CONFIG CHECKPOINT --out pruned.py --prompt-share 0.5 --segment-share 0.5
  python tools/train.py pruned.py --amp
  python tools/prune.py method=e2vpt,trunk=vitb_in21k,data=vtab/dtd --work-dir work_dirs/pruning/dtd \\
      --prompt-share 0.1 0.3 0.5 0.7 0.9 --segment-share 0.1 0.5 0.9 --amp --test"""


def parse(argv: Optional[Sequence[str]]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Parse the command line; end with the parser's error where options do not go together."""
    parser = argparse.ArgumentParser(
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage="%(prog)s CONFIG CHECKPOINT --out FILE [options]\n       %(prog)s CONFIG [--work-dir DIR] [options]",
    )
    parser.add_argument("config", help="a file, a name that davpt-seg configs lists, or an experiment's parts")
    parser.add_argument("checkpoint", nargs="?", help="a .pth file that tools/train.py wrote")
    parser.add_argument("--out", type=Path, metavar="FILE", help="with CHECKPOINT: the config to write, a .py")
    parser.add_argument("--work-dir", type=Path, metavar="DIR", help="of a cycle; default: work_dirs/pruning/CONFIG")
    for what, removed in (("prompt", "prompts"), ("segment", "segments of each prompt that stays")):
        parser.add_argument(
            f"--{what}-share",
            type=float,
            nargs="+",
            default=[0.5],
            metavar="0..1",
            help=f"share of the {removed} to remove, in a cycle several to choose among; default: 0.5",
        )
    parser.add_argument("--segments", type=int, default=16, metavar="N", help="of a prompt; default: %(default)s")
    parser.add_argument(
        "--split",
        choices=SPLITS,
        default="val",
        help="what importance is measured on: the config's validation images, or its training images without "
        "augmentation; never test images; default: %(default)s",
    )
    parser.add_argument(
        "--rank-by",
        choices=RANKINGS,
        default="masks",
        help="which prompts go: those with the least gradient of a mask on the whole prompt, as E2VPT has it, though "
        "the norm before attention undoes nearly all of such a mask (docs/pruning.md), or those whose segments' "
        "importances have the least sum; default: %(default)s",
    )
    parser.add_argument("--images", type=int, metavar="N", help="how many of them, drawn at random; default: all")
    parser.add_argument("--amp", action="store_true", help="of a cycle: train in mixed precision")
    parser.add_argument(
        "--test", action="store_true", help="of a cycle: train and test the chosen one as it is reported"
    )
    parser.add_argument("--dry-run", action="store_true", help="check everything, print what would be done, and stop")
    parser.add_argument(
        "--cfg-options", nargs="+", action=OptionsAction, metavar="KEY=VALUE", help="change the config, as in training"
    )
    parser.add_argument("--launcher", default="none", help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    _check(parser, args)
    return parser, args


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    if args.launcher != "none" or int(os.environ.get("WORLD_SIZE", 1)) > 1:
        parser.error(
            "pruning runs in one process. On several GPUs, train with tools/dist_train.sh, prune the checkpoint by "
            "tools/prune.py CONFIG CHECKPOINT --out pruned.py, and train pruned.py with tools/dist_train.sh"
        )
    if args.images is not None and args.images < 1:
        parser.error(f"--images must be at least 1, got {args.images}")
    if args.checkpoint is None:
        if args.out:
            parser.error("--out is for CONFIG CHECKPOINT; a cycle, without CHECKPOINT, writes into its --work-dir")
        return
    for option in ("work_dir", "amp", "test"):
        if getattr(args, option):
            parser.error(f"--{option.replace('_', '-')} is for a cycle, which trains: leave CHECKPOINT out, or it")
    if args.out is None or args.out.suffix != ".py":
        parser.error("CONFIG CHECKPOINT needs --out FILE.py, the config to write")
    if len(args.prompt_share) > 1 or len(args.segment_share) > 1:
        parser.error("several shares are chosen among by a cycle: leave CHECKPOINT out, or give one share of each")
