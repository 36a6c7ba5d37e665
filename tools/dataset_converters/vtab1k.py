"""Make VTAB-1k, 19 tasks of 800 + 200 training images, in the community layout.

From tensorflow-datasets, VTAB's source, which downloads the data (except resisc45 and diabetic_retinopathy, with
instructions for a manual download):

  pip install tensorflow-datasets tensorflow-cpu importlib_resources
  python tools/dataset_converters/vtab1k.py data/vtab-1k --from tfds
  python tools/dataset_converters/vtab1k.py data/vtab-1k --from tfds --sets dtd cifar --data-dir /data/tfds

From a copy for Hugging Face's datasets library, on the Hub or on disk, with the splits train800, val200 and test:

  pip install datasets
  python tools/dataset_converters/vtab1k.py data/vtab-1k --from huggingface --repo /data/vtab-1k-hf
  python tools/dataset_converters/vtab1k.py data/vtab-1k --from huggingface --repo "someone/vtab-1k-{set}"

It writes <root>/<set>/images/{train800,val200,test}/000000.jpg (or .png: a file keeps its format) and the lists
train800.txt, val200.txt, train800val200.txt and test.txt of lines "path label". A set appears only when it is
complete. After an interruption, run the same command again: finished sets are kept.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from davpt_seg.converters.vtab_sources import HuggingFaceSource, Source, TfdsSource
from davpt_seg.converters.vtab_tasks import TASKS
from davpt_seg.converters.vtab_writer import write_task
from davpt_seg.datasets.vtab import VTAB_SETS, VTABDataset
from davpt_seg.errors import DataError, InputError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser


def is_complete(folder: Path) -> bool:
    """Return whether a set exists: a folder with all lists, because ours appear at once.

    Raises:
        DataError: the folder lacks a list, so another program made it.
    """
    if not folder.exists():
        return False
    lacking = [file for files in VTABDataset.LISTS.values() for file in files if not (folder / file).is_file()]
    if lacking:
        raise DataError(f"{folder}: exists, but has no {', '.join(lacking)}; move it away, or replace it with --force")
    return True


def open_source(args: argparse.Namespace, name: str) -> Source:
    """Open the source that the command line names."""
    if args.source == "tfds":
        return TfdsSource(TASKS[name], args.data_dir)
    return HuggingFaceSource(args.repo, name)


def convert(args: argparse.Namespace, name: str) -> str:
    """Convert one set, unless it exists; return a description of the result.

    Raises:
        DataError: something is missing, broken, or in the way; the message names it.
    """
    if not args.force and is_complete(args.root / name):
        return "exists"
    if args.dry_run:
        train, val, test = (f"{part.split} {part.start}-{part.stop} %" for part in TASKS[name].parts)
        source = f"of {TASKS[name].dataset}: " if args.source == "tfds" else "unless the copy has these splits: "
        return f"would be written, {source}train800 from {train}, val200 from {val}, test from {test}"
    source = open_source(args, name)
    if args.source == "huggingface" and "train800" not in source.splits:
        print(
            f"  {name}: {args.repo} has no split train800, so its first images are taken. Unless their order is that "
            "of tensorflow-datasets, they are not VTAB-1k's: do not compare with published results.",
            file=sys.stderr,
        )
    counts = write_task(args.root, name, TASKS[name], source, args.limit_test, args.allow_counts)
    return f"written from {source.title}: " + ", ".join(f"{split} {count:,}" for split, count in counts.items())


@command
def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``.

    Returns:
        The exit status: 0, or 1 if a set could not be made.
    """
    parser = CommandParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the sets' folders, for instance data/vtab-1k")
    parser.add_argument("--from", dest="source", choices=("tfds", "huggingface"), required=True, help="library")
    parser.add_argument(
        "--sets", nargs="+", choices=VTAB_SETS, default=list(VTAB_SETS), metavar="SET", help="default: all 19"
    )
    parser.add_argument("--data-dir", type=Path, help="folder of tensorflow-datasets; default: ~/tensorflow_datasets")
    parser.add_argument("--repo", help="for huggingface: repository or folder; {set} in it is replaced by a set's name")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done, and stop")
    parser.add_argument("--force", action="store_true", help="make existing sets again")
    parser.add_argument("--allow-counts", action="store_true", help="accept a source with other sizes than published")
    parser.add_argument("--limit-test", type=int, metavar="N", help="only N test images: for trials, never for results")
    args = parser.parse_args(argv)
    if (args.source == "huggingface") != bool(args.repo):
        raise InputError("--repo and --from huggingface go together")
    if args.limit_test is not None and args.limit_test < 1:
        raise InputError(f"--limit-test must be at least 1, got {args.limit_test}")
    failed = []
    for number, name in enumerate(args.sets, start=1):
        try:
            done = convert(args, name)
        except DataError as error:
            failed.append(name)
            done = f"FAILED. {error}"
        print(f"[{number}/{len(args.sets)}] {name}: {done}", flush=True)
    if failed:
        print(f"{len(failed)} of {len(args.sets)} sets could not be made: {' '.join(failed)}. Fix it and run again.")
        return 1
    if not args.dry_run:
        print(f"Next: python tools/check_dataset.py --vtab {args.root} {' '.join(args.sets)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
