"""Is a data set whole? The command line of ``tools/check_dataset.py``."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os.path as osp
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Optional

from mmengine.registry import init_default_scope
from PIL import UnidentifiedImageError

from ..audit.findings import Finding, SplitAudit
from ..audit.label_findings import label_findings
from ..audit.pairing import copies_of_training, overlaps
from ..audit.preflight import recognition_kind
from ..audit.recognition_audit import audit_labelled_images, compare_splits
from ..audit.report import class_table, notes_in_words, problems_in_words, split_in_words
from ..audit.segmentation_audit import AuditedFiles, audit_split
from ..datasets import FGVC_SETS, VTAB_SETS
from ..errors import DataError
from ..experiments.catalog import config_root
from .check_arguments import SETS, arguments, data_sets
from .check_exif import look_at_tags


def main_check_dataset(argv: Optional[Sequence[str]] = None) -> int:
    """Look into every file of a data set, or of several; return 0 if all is whole, 1 otherwise."""
    parser = arguments()
    args = parser.parse_args(argv)
    sets = data_sets(parser, args)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
    audits, shared, remarkable, problems = [], [], [], {}
    missing = _missing_folders(sets) if _of_several(args) else {}
    for name, splits in sets.items():
        if name not in missing:
            found, between, notes = _check_set(parser, args, splits, f"{name}/" if _of_several(args) else "")
            audits += found
            shared += between
            remarkable += notes
            problems[name] = sum(len(audit.findings) for audit in found) + len(between)
    for line in problems_in_words(list(missing.values()), len(missing)):
        print(line)
    if args.json:
        _write_json(args.json, audits, [*shared, *missing.values()], remarkable)
    if len(problems) > 1:
        print("\n".join(f"{name:24}{f'problems: {n:,}' if n else 'whole'}" for name, n in problems.items()))
    count = sum(problems.values()) + len(missing)
    if count:
        print(f"NOT WHOLE: {count:,} problems. Do what stands behind each ->, then run this again.")
        return 1
    fast = " Without --fast, pixels and labels are checked too." if args.fast else ""
    print(f"Whole.{fast} Next: {_next_step(args, next(iter(sets)))}")
    return 0


def _check_set(
    parser: argparse.ArgumentParser, args: argparse.Namespace, splits: dict[str, Any], prefix: str
) -> tuple[list[SplitAudit], list[Finding], list[Finding]]:
    """Check the splits of one data set and print what was found.

    Returns:
        What was found in each split, the problems between splits, and what is remarkable between them.
    """
    audits, labelled = [], {}
    masked: dict[str, AuditedFiles] = {}
    for split, config in splits.items():
        if recognition_kind(config):
            audit, labelled[split] = audit_labelled_images(
                config, prefix + split, not args.fast, args.workers, args.data_check
            )
        else:
            init_default_scope("mmseg")
            import mmseg.datasets  # noqa: F401

            try:
                look_at_tags(config, split, args)
                audit, masked[split] = audit_split(config, split, not args.fast, args.workers, args.data_check)
            except DataError as error:
                parser.error(f"{split}: {error}")
        audits.append(audit)
        print(split_in_words(audit, args.show), flush=True)
    shared, notes = compare_splits(labelled)
    shared += overlaps({split: config for split, config in splits.items() if split not in labelled})
    for found, remarkable in (
        copies_of_training({split: files.images for split, files in masked.items()}),
        label_findings({split: files.seen for split, files in masked.items() if files.seen}, args.data_check),
    ):
        shared += found
        notes += remarkable
    for line in problems_in_words(shared, args.show) + notes_in_words(notes, args.show):
        print(line)
    table = "" if args.no_classes or args.fast else class_table(audits)
    if table:
        print(table)
    return audits, shared, notes


def _missing_folders(sets: dict[str, dict[str, Any]]) -> dict[str, Finding]:
    """Find data sets of VTAB or FGVC that are not there at all."""
    missing = {}
    for name, splits in sets.items():
        config = next(iter(splits.values()))
        kind = recognition_kind(config)
        folder = kind.folder(config["data_root"], config["dataset"]) if kind else None
        if folder and not osp.isdir(folder):  # Path.is_dir raises on a name that is too long
            missing[name] = Finding("no folder", str(folder))
    return missing


def _of_several(args: argparse.Namespace) -> Optional[str]:
    """Return the option that was given a root of several data sets."""
    return next((option for option in SETS if getattr(args, option)), None)


def _next_step(args: argparse.Namespace, first: str) -> str:
    """Say what to run with a whole data set."""
    option = _of_several(args)
    if not option:
        return f"python tools/train.py {args.config or 'CONFIG'} --dry-run"
    if not (config_root() / "_base_" / "datasets" / option / f"{first}.py").is_file():
        return f"a file for it beside configs/_base_/datasets/{option}/cifar10_1k.py (docs/classification.md)"
    method = "davpt" if first in (*VTAB_SETS, *FGVC_SETS) else "vpt_deep"  # whose values are for any task
    words = f"method={method},trunk=vitb_augreg_in21k,data={option}/{first},split=choose"
    return f"{option.upper()}_ROOT={getattr(args, option)[0]} python tools/train.py {words} --dry-run"


@contextmanager
def advise_check(config: str) -> Iterator[None]:
    """Say how to find an image or mask that cannot be read: Pillow does not know which file it was.

    Raises:
        DataError: such a file was met.
    """
    try:
        yield
    except (OSError, AssertionError) as error:  # the latter is mmcv's, which names the file
        known = ("image file is truncated", "failed to load image")
        if not isinstance(error, UnidentifiedImageError) and not any(words in str(error) for words in known):
            raise
        reason = str(error).partition(" <")[0]  # without the address of Pillow's buffer
        raise DataError(
            f"an image or mask could not be read ({reason}); python tools/check_dataset.py {config} names it"
        ) from error


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
