"""Write VPT's splits train.json, val.json and test.json into an official release of an FGVC data set.

  python tools/dataset_converters/fgvc.py cub     data/fgvc/CUB_200_2011
  python tools/dataset_converters/fgvc.py nabirds data/fgvc/nabirds
  python tools/dataset_converters/fgvc.py flowers data/fgvc/OxfordFlower
  python tools/dataset_converters/fgvc.py dogs    data/fgvc/Stanford-dogs
  python tools/dataset_converters/fgvc.py cars    data/fgvc/Stanford-cars

Each file is one JSON dict of image path -> class number of the release. Oxford Flowers has an official validation
split, which is kept. The others have none: a tenth of the training images is held out, drawn per class with a fixed
seed. VPT's splits (linked from its README) have the same sizes, but other images: if you have those files, keep them.
Existing files that differ are never replaced without --force.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

from sklearn.model_selection import train_test_split

from davpt_seg.converters.fgvc_release import RELEASES, Release, read_release
from davpt_seg.datasets.fgvc import FGVC_SETS
from davpt_seg.engine.atomic_files import AtomicLocalBackend
from davpt_seg.errors import DataError
from davpt_seg.terminal.ending import command
from davpt_seg.terminal.parser import CommandParser

VAL_SHARE = 0.1
Images = Mapping[str, int]


def hold_out(images: Images, seed: int) -> tuple[dict[str, int], dict[str, int]]:
    """Hold out a tenth of the images of every class; a class with a single image stays in training.

    The tenth is rounded up, which gives VPT's numbers of images (arXiv 2203.12119). The order in the release's lists
    has no influence.

    Args:
        images: class number by path.
        seed: seed of the draw.

    Raises:
        DataError: there are too few images to hold out some of every class.
    """
    members = Counter(images.values())
    alone = [path for path in images if members[images[path]] == 1]
    paths = sorted(images.keys() - alone)
    try:
        train, val = train_test_split(
            paths, test_size=VAL_SHARE, random_state=seed, stratify=[images[path] for path in paths]
        )
    except ValueError as error:
        raise DataError(f"cannot hold out a tenth of {len(paths)} training images per class: {error}") from error
    return {path: images[path] for path in sorted([*train, *alone])}, {path: images[path] for path in sorted(val)}


def make_splits(release: Release, seed: int) -> dict[str, Images]:
    """Return train, val and test; val is that of the release if it has one."""
    train, val = hold_out(release.train, seed) if release.val is None else (release.train, release.val)
    return {"train": train, "val": val, "test": release.test}


def report(dataset: str, splits: Mapping[str, Images]) -> list[str]:
    """Print the numbers of images next to the published ones.

    Returns:
        Descriptions of the differences.
    """
    published = FGVC_SETS[dataset]
    train, val, test = (splits[split] for split in ("train", "val", "test"))
    lines = [
        ("classes", len({*train.values(), *val.values(), *test.values()}), published.num_classes),
        ("classes in train", len({*train.values()}), published.num_classes),
        ("train and val", len(train) + len(val), published.train_images + published.val_images),
        ("train", len(train), published.train_images),
        ("val", len(val), published.val_images),
        ("test", len(test), published.test_images),
    ]
    for what, count, expected in lines:
        print(f"  {what}: {count:,} " + ("(as published)" if count == expected else f"(published: {expected:,})"))
    return [f"{what}: {count:,} instead of {expected:,}" for what, count, expected in lines if count != expected]


def write_splits(root: Path, splits: Mapping[str, Images], force: bool) -> None:
    """Write the three files atomically; equal ones are kept.

    Raises:
        DataError: a file has other content, unless ``force``.
    """
    texts = {root / f"{split}.json": json.dumps(images, indent=0) + "\n" for split, images in splits.items()}
    unlike = [path for path, text in texts.items() if path.is_file() and not _holds(path, text)]
    if unlike and not force:
        names = ", ".join(path.name for path in unlike)
        raise DataError(f"{root}: {names} hold(s) other splits, perhaps VPT's: keep them, or replace them with --force")
    for path, text in texts.items():
        if not path.is_file() or path in unlike:
            AtomicLocalBackend().put_text(text, path)
            print(f"  {path}")
        else:
            print(f"  {path} (unchanged)")


def _holds(path: Path, text: str) -> bool:
    try:
        return json.loads(path.read_bytes()) == json.loads(text)
    except (ValueError, RecursionError):
        return False


@command
def main(argv: Optional[Sequence[str]] = None) -> None:
    """Run the command line; ``argv`` defaults to ``sys.argv[1:]``."""
    sources = "sources:\n" + "".join(f"  {name}: {p.source}\n" for name, p in RELEASES.items())
    parser = CommandParser(description=__doc__, epilog=sources, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", choices=RELEASES, help="one of the five")
    parser.add_argument("root", type=Path, help="folder that the archives were unpacked to")
    parser.add_argument("--seed", type=int, default=0, help="seed of the held-out tenth; default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="read the release, report the output, and stop")
    parser.add_argument("--allow-counts", action="store_true", help="accept a release with other sizes than published")
    parser.add_argument("--force", action="store_true", help="replace existing splits")
    args = parser.parse_args(argv)
    run(args)


def run(args: argparse.Namespace) -> None:
    """Convert a release.

    Raises:
        DataError: something is missing, broken, or in the way; the message names it.
    """
    release = read_release(args.dataset, args.root)
    splits = make_splits(release, args.seed)
    print(f"{args.dataset} in {args.root}, paths relative to {release.images}")
    differences = report(args.dataset, splits)
    if differences and not args.allow_counts:
        raise DataError(
            f"{args.root} is not the release that was published ({'; '.join(differences)}); unpack it again, or "
            f"continue with --allow-counts. {RELEASES[args.dataset].source}"
        )
    if args.dry_run:
        print("Dry run: nothing was written.")
        return
    write_splits(args.root, splits, args.force)
    usual = FGVC_SETS[args.dataset].folder
    if args.root.resolve().name == usual:
        print(f"Next: python tools/check_dataset.py --fgvc {args.root.parent} {args.dataset}")
    else:
        print(f"Next: rename {args.root} to {usual}, the folder that configs look in, or set data_root in the config")


if __name__ == "__main__":
    main()
