"""Is a data set whole? The command line of ``tools/check_dataset.py``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from mmengine.config import DictAction
from mmengine.registry import init_default_scope
from PIL import UnidentifiedImageError

from ..datasets import official
from ..datasets.audit import SplitAudit, audit_split, overlaps
from ..datasets.preflight import DataError
from ..datasets.report import class_table, problems_in_words, split_in_words
from .configs import read_config

ROOTS = {
    "ade20k": official.ade20k,
    "pascal_context": official.pascal_context,
    "pascal_context_59": lambda root: official.pascal_context(root, classes=59),
}


def main_check_dataset(argv: Optional[Sequence[str]] = None) -> int:
    """Look into every file of a data set; return 0 if it is whole, 1 otherwise."""
    parser = _parser()
    args = parser.parse_args(argv)
    given = [name for name in ROOTS if getattr(args, name)]
    if len(given) + bool(args.config) != 1:
        parser.error("give a config, or one of --ade20k, --pascal-context and --pascal-context-59 with its folder")
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, got {args.workers}")
    if args.cfg_options and given:
        parser.error("--cfg-options change a config; with --ade20k and the like give the folder itself")
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    splits = ROOTS[given[0]](getattr(args, given[0])) if given else _splits_of_config(parser, args)
    init_default_scope("mmseg")
    import mmseg.datasets  # noqa: F401

    audits = []
    for split, config in splits.items():
        try:
            audits.append(audit_split(config, split, not args.fast, args.workers))
        except DataError as error:
            parser.error(f"{split}: {error}")
        print(split_in_words(audits[-1], args.show), flush=True)
    shared = overlaps(splits)
    for line in problems_in_words(shared, args.show):
        print(line)
    if not (args.no_classes or args.fast):
        print(class_table(audits))
    if args.json:
        _write_json(args.json, audits, shared)
    count = sum(len(audit.findings) for audit in audits) + len(shared)
    if count:
        print(f"NOT WHOLE: {count:,} problems. Do what stands behind each ->, then run this again.")
        return 1
    fast = " Without --fast, pixels and labels are checked too." if args.fast else ""
    print(f"Whole.{fast} Next: python tools/train.py {args.config or 'CONFIG'} --dry-run")
    return 0


@contextmanager
def advise_check(config: str) -> Iterator[None]:
    """Say how to find an image or mask that cannot be read: Pillow does not know which file it was.

    Raises:
        DataError: such a file was met.
    """
    try:
        yield
    except OSError as error:
        if not isinstance(error, UnidentifiedImageError) and "image file is truncated" not in str(error):
            raise
        reason = str(error).partition(" <")[0]  # without the address of Pillow's buffer
        raise DataError(
            f"an image or mask could not be read ({reason}); python tools/check_dataset.py {config} names it"
        ) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description="Tell whether a data set is whole: numbers of images, pairs, sizes, labels, unreadable files. "
        "Every file is read; nothing is changed. Exit status 0: whole, 1: not, 2: wrong command line.",
        epilog="Example: python tools/check_dataset.py --ade20k data/ade/ADEChallengeData2016 --workers 8",
    )
    parser.add_argument("config", nargs="?", help="a config: its train, val and test data sets are checked")
    parser.add_argument("--ade20k", metavar="ROOT", help="or ADEChallengeData2016, with images/ and annotations/")
    parser.add_argument("--pascal-context", metavar="ROOT", help="or VOC2010 in mmseg's layout, 60 classes")
    parser.add_argument("--pascal-context-59", metavar="ROOT", help="or the same, the background being void")
    parser.add_argument("--fast", action="store_true", help="read headers only: no truncated files, no labels")
    parser.add_argument("--workers", type=int, default=4, help="threads; default: %(default)s")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="files to name of each problem; default: 5")
    parser.add_argument("--no-classes", action="store_true", help="leave the table of classes out")
    parser.add_argument("--json", metavar="FILE", help="write all that was found here, every file named")
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, metavar="KEY=VALUE", help="change the config")
    return parser


def _splits_of_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    cfg = read_config(parser, args.config, args.cfg_options)
    splits: dict[str, Any] = {}
    seen: list[dict[str, Any]] = []
    for split in ("train", "val", "test"):
        leaves = list(_leaves((cfg.get(f"{split}_dataloader") or {}).get("dataset")))
        for i, leaf in enumerate(leaves):
            files = {key: value for key, value in leaf.items() if key != "pipeline"}
            if files not in seen:  # test is mostly val again
                seen.append(files)
                splits[split if len(leaves) == 1 else f"{split} {i + 1}"] = leaf
    if not splits:
        parser.error(f"{args.config} has no train_dataloader, val_dataloader or test_dataloader with a dataset")
    return splits


def _leaves(config: Any) -> Iterator[Any]:
    """Unwrap data sets that repeat or join others."""
    if not config:
        return
    inner = config.get("datasets") or ([config["dataset"]] if "dataset" in config else [])
    if inner:
        for part in inner:
            yield from _leaves(part)
    else:
        yield config


def _write_json(path: str, audits: Sequence[SplitAudit], shared: Sequence[Any]) -> None:
    report = {
        "splits": [
            {**dataclasses.asdict(audit), "findings": [finding._asdict() for finding in audit.findings]}
            for audit in audits
        ],
        "shared": [finding._asdict() for finding in shared],
    }
    Path(path).write_text(json.dumps(report, indent=2) + "\n")
    print(f"Report: {path}", file=sys.stderr)
