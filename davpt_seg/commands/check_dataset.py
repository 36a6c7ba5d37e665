"""Check that a data set is complete and intact: ``davpt-seg check-dataset``, ``tools/check_dataset.py``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os.path as osp
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Optional

from ..errors import InputError
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import command_line, for_help
from .config_argument import add_cfg_options, read_config

if TYPE_CHECKING:
    from ..audit.findings import Finding, SplitAudit

ROOTS = ("ade20k", "pascal_context", "pascal_context_59")
SETS = ("vtab", "fgvc")  # options for a root of several data sets

EXAMPLES = """\
{check_dataset} davpt/upernet_vitl_ade20k                            # the data sets of a config
{check_dataset} --ade20k data/ade/ADEChallengeData2016 --workers 8
{check_dataset} --vtab data/vtab-1k dtd svhn
{check_dataset} --coco annotations/train.json --images images --overlays /tmp/objects"""


@command
def main_check_dataset(argv: Optional[Sequence[str]] = None) -> int:
    """Read every file of a data set, or of several; return 0 if all are complete and intact, 1 otherwise."""
    args = _parser().parse_args(argv)
    sets = _data_sets(args)
    from ..audit.check_set import check_set
    from ..audit.report import problem_lines
    from ..datasets.pictures import ignore_large

    ignore_large()
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    audits, shared, remarkable, problems = [], [], [], {}
    several = _of_several(args)
    missing = _missing_folders(sets) if several else {}
    for name, splits in sets.items():
        if name not in missing:
            found, between, notes = check_set(splits, f"{name}/" if several else "", args)
            audits += found
            shared += between
            remarkable += notes
            problems[name] = sum(len(audit.findings) for audit in found) + len(between)
    for line in problem_lines(list(missing.values()), len(missing)):
        print(line)
    if args.json:
        _write_json(args.json, audits, [*shared, *missing.values()], remarkable)
    if len(problems) > 1:
        print("\n".join(f"{name:24}{f'problems: {n:,}' if n else 'complete'}" for name, n in problems.items()))
    count = sum(problems.values()) + len(missing)
    if count:
        print(f"{count:,} problems. Do as described after each ->, then run this again.")
        return 1
    fast = " Without --fast, pixels and labels are checked too." if args.fast else ""
    print(f"No problems.{fast} Next: {_next_step(args, next(iter(sets)))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        description="Check that a data set is complete and intact: numbers of images, pairs, sizes, labels, unreadable "
        "files, images in two splits, labels that contradict the config. Every file is read; nothing is changed "
        "without --drop-orientation. Exit status 0: no problems, 1: problems, 2: wrong command line.",
        examples=for_help(EXAMPLES),
    )
    parser.add_argument(
        "config", nargs="?", help="a config, or an experiment's words: its train, val and test data sets are checked"
    )
    parser.add_argument("--ade20k", metavar="ROOT", help="or ADEChallengeData2016, with images/ and annotations/")
    parser.add_argument("--pascal-context", metavar="ROOT", help="or VOC2010 in mmseg's layout, 60 classes")
    parser.add_argument("--pascal-context-59", metavar="ROOT", help="or the same with void background")
    parser.add_argument(
        "--vtab",
        nargs="+",
        metavar=("ROOT", "SET"),
        help="or VTAB-1k, one folder per task with train800.txt, val200.txt, train800val200.txt and test.txt; SET: "
        "only these tasks",
    )
    parser.add_argument(
        "--fgvc",
        nargs="+",
        metavar=("ROOT", "SET"),
        help="or FGVC: CUB_200_2011, nabirds, OxfordFlower, Stanford-dogs and Stanford-cars, each with train.json, "
        "val.json and test.json; SET: only these of cub, nabirds, flowers, dogs and cars",
    )
    parser.add_argument("--coco", metavar="FILE", help="or an annotation file in COCO's format")
    parser.add_argument(
        "--images", metavar="FOLDER", help="of --coco: folder of the images; default: looked for beside the file"
    )
    parser.add_argument("--fast", action="store_true", help="read headers only: no truncated files, no labels of masks")
    parser.add_argument("--workers", type=int, default=4, help="threads; default: %(default)s")
    parser.add_argument("--show", type=int, default=5, metavar="N", help="files to list for each problem; default: 5")
    parser.add_argument("--no-classes", action="store_true", help="omit the table of classes")
    parser.add_argument("--json", metavar="FILE", help="write all findings to this file, with every file name")
    parser.add_argument(
        "--exif",
        choices=["stored", "upright"],
        help="pixels that masks were drawn on, for images with an Exif orientation tag whose sizes do not show it; "
        "default: data_check.exif of the config",
    )
    parser.add_argument(
        "--overlays",
        metavar="DIR",
        help="write images here, --show of each split: those with an Exif orientation tag under their masks, the "
        "stored pixels next to the upright image; or, of COCO, any with their boxes, names and masks",
    )
    parser.add_argument(
        "--drop-orientation",
        action="store_true",
        help="before checking, set the Exif orientation to 1 in images whose masks were drawn on the stored pixels; "
        "pixels are unchanged",
    )
    add_cfg_options(parser, "train_dataloader.dataset.data_root=PATH ...")
    return parser


def _data_sets(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Return the configs of the data sets to check, by name and split, or refuse the options."""
    given = [name for name in (*ROOTS, *SETS, "coco") if getattr(args, name)]
    if args.images and "coco" not in given:
        raise InputError("--images is for --coco FILE; the images of other data sets are in their folders")
    if len(given) + bool(args.config) != 1:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in (*ROOTS, *SETS, "coco"))
        raise InputError(f"give a config, or one of {options} with its folder")
    if args.workers < 1:
        raise InputError(f"--workers must be at least 1, got {args.workers}")
    if args.cfg_options and given:
        raise InputError("--cfg-options change a config; with --ade20k and similar options give the folder itself")
    if args.show < 0:
        raise InputError(f"--show must be at least 0, got {args.show}")
    from ..audit import official
    from ..audit.data_check import DataCheck

    if not given:
        return {args.config: _splits_of_config(args)}
    args.data_check = DataCheck(exif=args.exif)
    (option,) = given
    value = getattr(args, option)
    if option == "coco":
        return {value: _of_coco_file(value, args.images)}
    if option == "ade20k":
        return {option: official.ade20k(value)}
    if option in ROOTS:
        return {option: official.pascal_context(value, classes=59 if option.endswith("59") else 60)}
    try:
        return (official.vtab if option == "vtab" else official.fgvc)(value[0], value[1:])
    except InputError as error:
        raise InputError(f"--{option}: {error}") from error


def _of_coco_file(path: str, images: Optional[str]) -> dict[str, Any]:
    """Return what to check of an annotation file, by the file's name."""
    from ..audit.coco.coco_file import read_coco
    from ..audit.coco.coco_source import CocoSource
    from ..own_data.coco_layout import images_of

    if images is not None and not osp.isdir(images):
        raise InputError(f"--images {images}: there is no such folder")
    if osp.isdir(path):
        raise InputError(f"--coco {path} is a folder; give the annotation file, or data=coco_folder:{path} with a head")
    if images is None:
        folder = Path(path).resolve().parent
        root = folder.parent if folder.name.lower() in ("annotations", "labels") else folder
        images = str(images_of(root, Path(path).resolve(), read_coco(path)))
    return {Path(path).stem: CocoSource(path, images)}


def _splits_of_config(args: argparse.Namespace) -> dict[str, Any]:
    """Return the data sets of a config by split, each once, and store its ``data_check`` in args."""
    from mmengine.registry import init_default_scope

    from ..audit.data_check import DataCheck, read_as_stored
    from ..audit.preflight import leaves
    from ..training.classes import check_one_class

    cfg = read_config(args.config, args.cfg_options)
    init_default_scope(cfg.get("default_scope") or "mmseg")
    args.data_check = DataCheck.from_config(cfg)
    check_one_class(cfg)
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
            if files not in seen:  # test is usually val
                seen.append(files)
                splits[split if len(parts) == 1 else f"{split} {i + 1}"] = leaf
    if not splits:
        raise InputError(f"{args.config} has no train_dataloader, val_dataloader or test_dataloader with a dataset")
    return splits


def _missing_folders(sets: dict[str, dict[str, Any]]) -> dict[str, Finding]:
    """Find data sets of VTAB or FGVC that do not exist."""
    from ..audit.findings import Finding
    from ..audit.preflight import recognition_kind

    missing = {}
    for name, splits in sets.items():
        config = next(iter(splits.values()))
        kind = recognition_kind(config)
        folder = kind.folder(config["data_root"], config["dataset"]) if kind else None
        if folder and not osp.isdir(folder):  # Path.is_dir raises on a name that is too long
            missing[name] = Finding("no folder", str(folder))
    return missing


def _of_several(args: argparse.Namespace) -> Optional[str]:
    """Return the option with a root of several data sets."""
    return next((option for option in SETS if getattr(args, option)), None)


def _next_step(args: argparse.Namespace, first: str) -> str:
    """Return the next command for a complete data set."""
    from ..datasets import FGVC_SETS, VTAB_SETS
    from ..experiments.catalog import config_root

    option = _of_several(args)
    if args.coco:
        return "data=coco_folder:FOLDER trains on a folder of such files (docs/detection.md)"
    if not option:
        return f"{command_line('train', args.config or 'CONFIG')} --dry-run"
    if not (config_root() / "_base_" / "datasets" / option / f"{first}.py").is_file():
        return f"a file for it beside configs/_base_/datasets/{option}/cifar10_1k.py (docs/classification.md)"
    method = "davpt" if first in (*VTAB_SETS, *FGVC_SETS) else "vpt_deep"  # its values are for any task
    words = f"method={method},trunk=vitb_augreg_in21k,data={option}/{first},split=choose"
    return f"{option.upper()}_ROOT={shlex.quote(getattr(args, option)[0])} {command_line('train', words)} --dry-run"


def _write_json(path: str, audits: Sequence[SplitAudit], shared: Sequence[Finding], notes: Sequence[Finding]) -> None:
    report = {
        "splits": [
            {**dataclasses.asdict(audit), "findings": _dicts(audit.findings), "notes": _dicts(audit.notes)}
            for audit in audits
        ],
        "shared": _dicts(shared),
        "notes": _dicts(notes),
    }
    Path(path).write_text(json.dumps(report, indent=2) + "\n")
    print(f"Report: {path}", file=sys.stderr)


def _dicts(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [finding._asdict() for finding in findings]
