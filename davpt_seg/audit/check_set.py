"""Check and report of all splits of one data set; Exif tags are shown or dropped before, on request."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.registry import init_default_scope

from ..errors import DataError
from .coco.coco_audit import audit_coco, object_table
from .coco.coco_overlays import write_coco_overlays
from .coco.coco_source import CocoSource, coco_source
from .coco.file_findings import file_findings
from .data_check import DataCheck
from .exif import STORED, Readers, stated_by
from .exif_tag import drop_orientation
from .findings import Finding, SplitAudit
from .label_advice import advice_on
from .label_patterns import contradictions
from .label_values import SeenValues
from .overlays import write_overlays
from .pairing import copies_of_training, overlaps
from .preflight import open_dataset, recognition_kind
from .preflight_exif import read_headers, tagged_images
from .recognition_audit import audit_labelled_images, compare_splits
from .report import class_table, note_lines, problem_lines, split_text
from .segmentation_audit import AuditedFiles, audit_split


def check_set(
    splits: Mapping[str, Any], prefix: str, args: argparse.Namespace
) -> tuple[list[SplitAudit], list[Finding], list[Finding]]:
    """Check the splits of one data set and print what was found.

    Args:
        splits: configs of data sets by name of the split.
        prefix: name of the data set among several, ending in ``/``.
        args: arguments of the command line, with ``data_check``.

    Returns:
        The audit of each split, the problems between splits, and the notes on them.

    Raises:
        DataError: a data set cannot be checked, or a tag cannot be dropped.
    """
    audits, labelled = [], {}
    masked: dict[str, AuditedFiles] = {}
    seen: dict[str, dict[str, str]] = {}
    for split, config in splits.items():
        coco = config if isinstance(config, CocoSource) else coco_source(config)
        if coco is not None:
            _draw_objects(coco, split, args)
            audit, seen[split] = audit_coco(coco, prefix + split, not args.fast, args.workers, args.data_check)
        elif recognition_kind(config):
            audit, labelled[split] = audit_labelled_images(
                config, prefix + split, not args.fast, args.workers, args.data_check
            )
        else:
            init_default_scope("mmseg")
            import mmseg.datasets  # noqa: F401

            try:
                _look_at_tags(config, split, args)
                audit, masked[split] = audit_split(config, split, not args.fast, args.workers, args.data_check)
            except DataError as error:
                raise DataError(f"{split}: {error}") from error
        audits.append(audit)
        print(split_text(audit, args.show), flush=True)
    shared, notes = compare_splits(labelled)
    shared += overlaps({split: config for split, config in splits.items() if split not in {**labelled, **seen}})
    for found, remarkable in (
        copies_of_training({**{split: files.images for split, files in masked.items()}, **seen}),
        _label_findings({split: files.seen for split, files in masked.items() if files.seen}, args.data_check),
    ):
        shared += found
        notes += remarkable
    for line in problem_lines(shared, args.show) + note_lines(notes, args.show):
        print(line)
    tables = () if args.no_classes else (object_table(audits), "" if args.fast else class_table(audits))
    for table in filter(None, tables):
        print(table)
    return audits, shared, notes


def _draw_objects(source: CocoSource, split: str, args: argparse.Namespace) -> None:
    """Draw the objects of a few images, where overlays are asked for."""
    if args.drop_orientation:
        raise DataError(
            f"{split}: --drop-orientation is for masks in files; for boxes, state data_check.exif=stored in the config"
        )
    coco = file_findings(source, args.data_check)[0] if args.overlays else None
    if coco is not None:
        written = write_coco_overlays(coco, source, args.show, Path(args.overlays) / split)
        print(f"{split}: {len(written)} overlays in {Path(args.overlays) / split}", file=sys.stderr)


def _look_at_tags(config: Mapping[str, Any], split: str, args: argparse.Namespace) -> None:
    """Draw the tagged images of a split under their masks, and drop the tags of those drawn on the stored pixels."""
    if not (args.overlays or args.drop_orientation):
        return
    try:
        dataset = open_dataset(config)
    except DataError:  # audit_split reports it
        return
    if dataset is None:
        return
    readers = Readers(config.get("pipeline") or ())
    items = dataset.load_data_list()
    tagged = tagged_images(items, readers, read_headers(items))
    if args.overlays:
        tagged, again = itertools.tee(tagged)
        written = write_overlays(list(itertools.islice(again, args.show)), Path(args.overlays) / split)
        print(f"{split}: {len(written)} overlays in {Path(args.overlays) / split}", file=sys.stderr)
    if args.drop_orientation:
        stated = stated_by(readers, args.data_check.exif)
        stored = [pair.path for pair in tagged if pair.drawn_by(stated) == STORED]
        for path in dict.fromkeys(stored):
            drop_orientation(path)
        print(f"{split}: the Exif orientation of {len(stored)} images was set to 1; their pixels are unchanged")


def _label_findings(splits: Mapping[str, SeenValues], settings: DataCheck) -> tuple[list[Finding], list[Finding]]:
    """Return the problems and the notes of values that contradict the config."""
    problems: list[Finding] = []
    notes: list[Finding] = []
    for case in contradictions(splits):
        certain = case.certain and settings.labels == "refuse"
        (problems if certain else notes).append(Finding(case.kind, case.split, case.text))
    for name, seen in splits.items():
        advice = advice_on(seen.wrong, seen.pixels, seen.scheme) if seen.wrong else None
        if advice:
            (problems if settings.labels == "refuse" else notes).append(Finding("numbering", name, advice))
    return problems, notes
