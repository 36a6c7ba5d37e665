"""Which data sets ``tools/check_dataset.py`` is asked to check."""

from __future__ import annotations

import argparse
from typing import Any

from ..audit import official
from ..audit.data_check import DataCheck, read_as_stored
from ..audit.preflight import leaves
from ..errors import InputError
from ..experiments.option_values import OptionsAction
from ..training.classes import check_one_class
from .config_argument import read_config

ROOTS = {
    "ade20k": official.ade20k,
    "pascal_context": official.pascal_context,
    "pascal_context_59": lambda root: official.pascal_context(root, classes=59),
}
SETS = {"vtab": official.vtab, "fgvc": official.fgvc}  # of a root that holds several data sets


def arguments() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        description="Tell whether a data set is whole: numbers of images, pairs, sizes, labels, unreadable files, "
        "images in two splits, labels that contradict the config. Every file is read; nothing is changed without "
        "--drop-orientation. Exit status 0: whole, 1: not, 2: wrong command line.",
        epilog="Examples: python tools/check_dataset.py --ade20k data/ade/ADEChallengeData2016 --workers 8; "
        "python tools/check_dataset.py --vtab data/vtab-1k dtd svhn",
    )
    parser.add_argument(
        "config", nargs="?", help="a config, or an experiment's parts: its train, val and test data sets are checked"
    )
    parser.add_argument("--ade20k", metavar="ROOT", help="or ADEChallengeData2016, with images/ and annotations/")
    parser.add_argument("--pascal-context", metavar="ROOT", help="or VOC2010 in mmseg's layout, 60 classes")
    parser.add_argument("--pascal-context-59", metavar="ROOT", help="or the same, the background being void")
    parser.add_argument(
        "--vtab",
        nargs="+",
        metavar=("ROOT", "SET"),
        help="or VTAB-1k, a folder a task with train800.txt, val200.txt, train800val200.txt and test.txt; SET: "
        "only these tasks",
    )
    parser.add_argument(
        "--fgvc",
        nargs="+",
        metavar=("ROOT", "SET"),
        help="or FGVC: CUB_200_2011, nabirds, OxfordFlower, Stanford-dogs and Stanford-cars, each with train.json, "
        "val.json and test.json; SET: only these of cub, nabirds, flowers, dogs and cars",
    )
    parser.add_argument("--fast", action="store_true", help="read headers only: no truncated files, no labels of masks")
    parser.add_argument("--workers", type=int, default=4, help="threads; default: %(default)s")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="files to name of each problem; default: 5")
    parser.add_argument("--no-classes", action="store_true", help="leave the table of classes out")
    parser.add_argument("--json", metavar="FILE", help="write all that was found here, every file named")
    parser.add_argument(
        "--exif",
        choices=["stored", "upright"],
        help="pixels that masks were drawn on, where an image has an Exif orientation tag and the sizes do not show "
        "it; default: data_check.exif of the config",
    )
    parser.add_argument(
        "--overlays",
        metavar="DIR",
        help="write images with an Exif orientation tag here, --show of each split, under their masks: the pixels as "
        "stored beside the upright image",
    )
    parser.add_argument(
        "--drop-orientation",
        action="store_true",
        help="before checking, set the Exif orientation to 1 in images whose masks were drawn on the pixels as stored; "
        "pixels stay as they are",
    )
    parser.add_argument("--cfg-options", nargs="+", action=OptionsAction, metavar="KEY=VALUE", help="change the config")
    return parser


def data_sets(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the configs of the data sets to check, by name and split, or end with the parser's error."""
    given = [name for name in (*ROOTS, *SETS) if getattr(args, name)]
    if len(given) + bool(args.config) != 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in (*ROOTS, *SETS))
        parser.error(f"give a config, or one of {options} with its folder")
    if args.workers < 1:
        parser.error(f"--workers must be at least 1, got {args.workers}")
    if args.cfg_options and given:
        parser.error("--cfg-options change a config; with --ade20k and the like give the folder itself")
    if args.show < 0:
        parser.error(f"--show must be at least 0, got {args.show}")
    args.data_check = DataCheck(exif=args.exif)
    if not given:
        return {args.config: _splits_of_config(parser, args)}
    (option,) = given
    if option in ROOTS:
        return {option: ROOTS[option](getattr(args, option))}
    root, *names = getattr(args, option)
    try:
        return SETS[option](root, names)
    except ValueError as error:
        parser.error(f"--{option}: {error}")


def _splits_of_config(parser: argparse.ArgumentParser, args: argparse.Namespace) -> dict[str, Any]:
    cfg = read_config(parser, args.config, args.cfg_options)
    try:
        args.data_check = DataCheck.from_config(cfg)
        check_one_class(cfg)
    except InputError as error:
        parser.error(str(error))
    if args.data_check.exif == "stored":
        read_as_stored(cfg)
    if args.exif:
        args.data_check = args.data_check._replace(exif=args.exif)
    splits: dict[str, Any] = {}
    seen: list[dict[str, Any]] = []
    for split in ("train", "val", "test"):
        parts = list(leaves((cfg.get(f"{split}_dataloader") or {}).get("dataset")))
        for i, leaf in enumerate(parts):
            files = {key: value for key, value in leaf.items() if key != "pipeline"}
            if files not in seen:  # test is mostly val again
                seen.append(files)
                splits[split if len(parts) == 1 else f"{split} {i + 1}"] = leaf
    if not splits:
        parser.error(f"{args.config} has no train_dataloader, val_dataloader or test_dataloader with a dataset")
    return splits
