"""Convert the releases of PASCAL Context into masks and lists for mmseg, without the ``detail`` package.

Give VOC2010 (VOCtrainval_03-May-2010.tar) and one of the two releases of the labels:

  --json trainval_merged.json    read by mmseg's converter, so used by its published results:
                                 4,996 training and 5,104 validation images
  --mat FOLDER                   the original trainval.tar.gz, with labels.txt: 4,998 and 5,105 images, and masks that
                                 differ from the others in places

It writes VOC2010/SegmentationClassContext/*.png (0 background, 1 to 59 classes) and
VOC2010/ImageSets/SegmentationContext/{train,val}.txt. After an interruption it resumes when run again.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from PIL import Image

from davpt_seg.audit.official import COUNTS
from davpt_seg.converters.pascal_context import MatRelease, MergedJson, Release
from davpt_seg.datasets.pictures import UNREADABLE, why_unreadable
from davpt_seg.errors import DataError, InputError
from davpt_seg.long_work import in_parallel
from davpt_seg.replacing import replacing
from davpt_seg.runs.json_files import read_json
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

MARKER = "converted_from.json"


def convert(name: str, release: Release, images: Path, masks: Path) -> None:
    """Write the mask of one image atomically.

    Raises:
        DataError: the annotation cannot be read, or its size differs from the JPEG's.
    """
    mask = Image.fromarray(release.mask(name))
    path = images / f"{name}.jpg"
    try:
        with Image.open(path) as image:
            size = image.size
    except UNREADABLE as error:
        raise DataError(f"image {path} cannot be read: {why_unreadable(error, str(path))}") from error
    if size != mask.size:
        raise DataError(
            f"{path}: is {size[0]} x {size[1]}, its annotation {mask.size[0]} x {mask.size[1]}; are the images those "
            "of VOC2010, unchanged?"
        )
    with replacing(masks / f"{name}.png") as part:
        mask.save(part, format="PNG")


def check_source(masks: Path, source: str, force: bool) -> None:
    """Record the release of the masks, and refuse masks of the other release.

    Raises:
        DataError: ``masks`` holds masks of the other release, or of unknown origin.
    """
    marker = masks / MARKER
    if not force and any(masks.glob("*.png")):
        found = (read_json(marker) or {}).get("source", "an unknown source")
        if found != source:
            raise DataError(f"{masks}: holds masks from {found}, not from {source}; replace them with --force")
    masks.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({"source": source}) + "\n")


def write_lists(voc: Path, splits: dict[str, list[str]]) -> None:
    """Write the lists of images atomically."""
    folder = voc / "ImageSets" / "SegmentationContext"
    folder.mkdir(parents=True, exist_ok=True)
    for split, names in splits.items():
        with replacing(folder / f"{split}.txt") as part:
            part.write_text("".join(f"{name}\n" for name in names))


def check_missing(release: Release, voc: Path, allow: bool) -> None:
    """Remove images without annotation, if that is allowed.

    Raises:
        DataError: images without JPEG, or images without annotation if that is not allowed.
    """
    images = voc / "JPEGImages"
    jpegs = {path.stem for path in images.glob("*.jpg")}
    lost = [str(images / f"{n}.jpg") for names in release.splits.values() for n in names if n not in jpegs]
    if lost:
        raise DataError(
            f"{len(lost):,} images are missing, for instance {lost[0]}; unpack VOCtrainval_03-May-2010.tar completely, "
            "and give its VOC2010 folder"
        )
    if release.missing and not allow:
        raise DataError(
            f"{len(release.missing):,} annotations are missing, for instance {next(iter(release.missing.values()))}; "
            "unpack the release again, or omit those images with --allow-missing"
        )
    release.splits = {s: [name for name in names if name not in release.missing] for s, names in release.splits.items()}


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("voc", type=Path, metavar="VOC2010", help="folder with JPEGImages and ImageSets")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--json", type=Path, metavar="FILE", help="trainval_merged.json")
    source.add_argument("--mat", type=Path, metavar="FOLDER", help="folder that trainval.tar.gz was unpacked to")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="labels.txt, if not beside the .mat files")
    parser.add_argument("--workers", type=int, default=4, help="threads; default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="read the release, report the output, and stop")
    parser.add_argument("--allow-missing", action="store_true", help="omit images without annotation from the lists")
    parser.add_argument("--force", action="store_true", help="write every mask again")
    args = parser.parse_args(argv)
    if args.workers < 1:
        raise InputError(f"--workers must be at least 1, got {args.workers}")
    run(args)


def run(args: argparse.Namespace) -> None:
    """Convert a release.

    Raises:
        DataError: something is missing or broken; the message names it.
    """
    release: Release = MergedJson(args.json) if args.json else MatRelease(args.mat, args.voc, args.labels)
    check_missing(release, args.voc, args.allow_missing)
    masks = args.voc / "SegmentationClassContext"
    names = [name for split in release.splits.values() for name in split]
    todo = [name for name in names if args.force or not (masks / f"{name}.png").is_file()]
    for split, members in release.splits.items():
        published = COUNTS["PascalContextDataset"][split]
        note = (
            "as published" if len(members) in published else "published: " + " or ".join(map("{:,}".format, published))
        )
        print(f"{split}: {len(members):,} images ({note})")
    print(f"{masks}: {len(names) - len(todo):,} masks exist, {len(todo):,} to write")
    if args.dry_run:
        print("Dry run: nothing was written.")
        return
    check_source(masks, "trainval_merged.json" if args.json else "LabelMap .mat files", args.force)
    for _ in in_parallel(
        lambda name: convert(name, release, args.voc / "JPEGImages", masks), todo, args.workers, "masks"
    ):
        pass
    write_lists(args.voc, release.splits)
    print(f"Done. Next: python tools/check_dataset.py --pascal-context {args.voc}")


if __name__ == "__main__":
    main()
