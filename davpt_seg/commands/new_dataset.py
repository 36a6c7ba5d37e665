"""Prepare a folder of images and masks for training: ``davpt-seg new-dataset``."""

from __future__ import annotations

import io
import os.path as osp
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ..errors import InputError
from ..terminal.ending import command
from ..terminal.parser import CommandParser
from ..terminal.program import program


@command
def main_new_dataset(argv: Optional[Sequence[str]] = None) -> int:
    """Look at a folder, report what it holds, and write a data part, lists and index masks."""
    args = _parser().parse_args(argv)
    root = Path(osp.abspath(osp.expanduser(args.folder)))
    name = args.name if args.name is not None else re.sub(r"\W+", "_", root.resolve().name).strip("_") or "dataset"
    if not re.fullmatch(r"\w[\w\-]*", name):
        raise InputError(f"--name {name!r}: expected letters, digits, _ and -; the data part is named NAME.py")
    if "," in str(root):
        raise InputError(
            f"{root}: commas separate the words of an experiment, so a path must have none; rename the folder"
        )
    from ..own_data.class_file import given_classes
    from ..own_data.groups import OVERLAYS
    from ..own_data.layout import look
    from ..own_data.meaning import read_masks
    from ..own_data.overlays import overlay_sheet
    from ..own_data.plan import plan
    from ..own_data.report import report
    from ..own_data.writing import compare, refuse_different, write
    from .next_steps import next_steps

    classes = given_classes(root, args.classes, args.classes_file)
    layout = look(root, args.masks, args.images)
    masks = read_masks(root, layout.all_pairs, classes, args.void)
    planned = plan(layout, masks, args.seed)
    print("\n".join(report(layout, masks, planned, args.seed)), flush=True)
    pairs = layout.all_pairs
    shown = [pairs[at] for at in sorted({0, len(pairs) // 2, len(pairs) - 1})]
    sheet = io.BytesIO()
    overlay_sheet(root, shown, masks, planned.own["palette"]).save(sheet, "PNG")
    part, figure = f"{name}.py", f"{name}{OVERLAYS}"
    files = compare(root, part, planned, masks, sheet.getvalue(), figure)
    refuse_different(root, files, part, planned)
    if not files.new:
        print("everything is written already; nothing was changed")
    else:
        if not args.dry_run:
            write(root, files, part, planned, masks, sheet.getvalue(), figure)
        count = sum(path in planned.masks for path in files.new)
        others = [str(path) for path in files.new if path not in planned.masks]
        written = [*others, *([f"{count:,} masks below index_masks/"] if count else [])]
        print(f"{'would write' if args.dry_run else 'wrote'} {', '.join(written)} in {root}")
    if not args.dry_run:
        print("\n".join(next_steps(root / part, root / figure)))
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        description="Prepare a folder of images and masks for training. It reports what it found, draws three images "
        "under their masks, and writes into the folder a data part (NAME.py), lists of a split if there is none, "
        "and index masks (index_masks/) if the masks are in colours or 0 and 255. No file that is there is changed.",
        examples=f"{program('new-dataset')} ~/pets --classes background,cat,dog --dry-run\n"
        f"{program('new-dataset')} ~/pets --classes background,cat,dog",
        epilog="Images and masks may be in two folders, side by side (a.jpg and a_mask.png), below train/ and val/, or "
        "in PASCAL VOC's layout.",
    )
    parser.add_argument("folder", metavar="PATH", help="folder of the images and masks")
    parser.add_argument(
        "--classes", metavar="A,B,...", help="names of the classes, in the order of their numbers in masks"
    )
    parser.add_argument(
        "--classes-file",
        metavar="FILE",
        help="or a file with one class a line: NAME, or NAME R G B for masks in colours; default: classes.txt, "
        "label_colors.txt or class_dict.csv in PATH",
    )
    parser.add_argument("--name", help="name of the data part; default: that of the folder")
    parser.add_argument(
        "--masks", metavar="TEXT", default="", help="part of the masks' path, if there are several kinds"
    )
    parser.add_argument(
        "--images", metavar="TEXT", default="", help="part of the images' path, if masks fit several kinds of images"
    )
    parser.add_argument("--void", type=int, metavar="VALUE", help="value of masks to ignore, beside 255")
    parser.add_argument("--seed", type=int, default=0, help="seed of the split, if the folder has none; default: 0")
    parser.add_argument("--dry-run", action="store_true", help="only report; write nothing")
    return parser
