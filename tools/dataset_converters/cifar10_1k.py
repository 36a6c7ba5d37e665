"""Make 1,000 training and 1,000 test images of CIFAR-10 in VTAB-1k's layout, for data=vtab/cifar10_1k.

From cifar-10-python.tar.gz, which torchvision downloads, or cifar-10-binary.tar.gz (cs.toronto.edu/~kriz/cifar.html),
or a folder that one was unpacked to:

  python tools/dataset_converters/cifar10_1k.py cifar-10-python.tar.gz data/vtab-1k

It writes ROOT/cifar10_1k: 80 + 20 training images and 100 test images of each class, drawn with a seed. The files are
pickles or plain bytes; nothing in them is run. Our figures are measured on another draw, whose seed is not known.
"""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Sequence
from pathlib import Path

from davpt_seg.converters.cifar10 import write_1k
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser
from davpt_seg.terminal.program import program


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="archive, or folder of the unpacked files")
    parser.add_argument("root", type=Path, help="folder of VTAB's sets, for instance data/vtab-1k")
    parser.add_argument("--seed", type=int, default=0, help="seed that draws the images; default: 0")
    args = parser.parse_args(argv)
    folder = args.root / "cifar10_1k"
    if folder.exists():
        print(f"{folder}: exists already; nothing was changed. Delete it to make it again.")
        return
    counts = write_1k(args.source, folder, args.seed)
    print(f"{folder}: {', '.join(f'{name} {count:,}' for name, count in counts.items())} images")
    print(f"Next: {program('check-dataset')} --vtab {shlex.quote(str(args.root))} cifar10_1k")


if __name__ == "__main__":
    main()
