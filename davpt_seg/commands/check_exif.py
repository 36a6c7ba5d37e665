"""What ``tools/check_dataset.py`` does about Exif orientation tags before it checks: overlays, and dropping tags."""

from __future__ import annotations

import argparse
import itertools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..audit.exif import STORED, Readers, said_of
from ..audit.exif_tag import drop_orientation
from ..audit.overlays import write_overlays
from ..audit.preflight import open_dataset
from ..audit.preflight_exif import read_headers, tagged_images
from ..errors import DataError


def look_at_tags(config: Mapping[str, Any], split: str, args: argparse.Namespace) -> None:
    """Draw the tagged images of a split under their masks, and drop the tags of those drawn on the stored pixels.

    Args:
        config: of a mmseg data set.
        split: its name, which is the overlays' folder.
        args: ``overlays``, ``drop_orientation``, ``show`` and ``data_check``.

    Raises:
        DataError: a tag that cannot be dropped.
    """
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
        said = said_of(readers, args.data_check.exif)
        stored = [pair.path for pair in tagged if pair.drawn_by(said) == STORED]
        for path in dict.fromkeys(stored):
            drop_orientation(path)
        print(f"{split}: the Exif orientation of {len(stored)} images was set to 1; their pixels are as before")
