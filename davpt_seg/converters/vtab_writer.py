"""Writer of a task of VTAB-1k in the community layout: images, lists, and their source."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from ..datasets.pictures import UNREADABLE, why_unreadable
from ..datasets.vtab import VTAB_IMAGES, VTAB_SETS
from ..errors import DataError
from ..long_work import shown
from ..replacing import replacing
from .vtab_sources import Source
from .vtab_tasks import Part, Task, divided

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png"}
ORIENTATION = 0x0112  # the Exif tag; 1 is upright
MARKER = "converted_from.json"
Lines = list[str]


def write_task(
    root: Path, name: str, task: Task, source: Source, limit_test: Optional[int] = None, allow_counts: bool = False
) -> dict[str, int]:
    """Write ``root/name``, which appears only when it is complete; an existing one is replaced.

    Args:
        root: folder of the tasks' folders.
        name: name of the task.
        task: recipe of the task; a source with VTAB-1k's splits is copied as it is.
        source: source of the images.
        limit_test: largest number of test images; None for all.
        allow_counts: whether to continue if the source has more or fewer images than were published.

    Returns:
        The number of images of each split.

    Raises:
        DataError: splits, features or labels do not fit the task, or images cannot be read.
    """
    task = divided(task) if "train800" in source.splits else task
    ranges = plan(name, task, source, limit_test, allow_counts)
    with replacing(root / name) as part:
        lists = {split: write_split(part, name, task, source, split, *where) for split, where in ranges.items()}
        lists["train800val200"] = lists["train800"] + lists["val200"]
        for split, lines in lists.items():
            (part / f"{split}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        names = source.class_names(task.label_feature) if task.label_feature else ()
        if len(names) == VTAB_SETS[name].num_classes:
            (part / "classes.txt").write_text("".join(f"{each}\n" for each in names), encoding="utf-8")
        origin = {split: f"{where[0]}[{where[1]}:{where[2]}]" for split, where in ranges.items()}
        (part / MARKER).write_text(json.dumps({"source": source.title, **origin}, indent=1) + "\n")
    return {split: len(lines) for split, lines in lists.items()}


def plan(
    name: str, task: Task, source: Source, limit_test: Optional[int], allow_counts: bool
) -> dict[str, tuple[str, int, int]]:
    """Return the parts of each split: the source's split, the first image, and the one after the last.

    Raises:
        DataError: the source lacks a split, or has too few or too many images.
    """
    expected = {
        "train800": VTAB_IMAGES["train800"],
        "val200": VTAB_IMAGES["val200"],
        "test": VTAB_SETS[name].test_images,
    }
    ranges = {}
    for (split, count), part in zip(expected.items(), task.parts):
        start, stop = _bounds(part, source)
        available = stop - start
        stop = stop if split == "test" else min(stop, start + count)
        if stop - start != count and not allow_counts:
            raise DataError(
                f"{source.title}: {part.split}, {part.start} to {part.stop} %, has {available:,} images, but {split} "
                f"of {name} needs {count:,}; it is another release, or incomplete. To continue anyway: --allow-counts"
            )
        if split == "test" and limit_test is not None:
            stop = min(stop, start + limit_test)
        ranges[split] = (part.split, start, stop)
    return ranges


def write_split(
    folder: Path, name: str, task: Task, source: Source, split: str, origin: str, start: int, stop: int
) -> Lines:
    """Write the images of one split, with a progress bar; return the lines of its list."""
    images, num_classes = folder / "images" / split, VTAB_SETS[name].num_classes
    images.mkdir(parents=True)
    lines: Lines = []
    rows = shown(source.rows(origin, start, stop), stop - start, f"{name} {split}")
    for index, features in enumerate(rows):
        where = f"{source.title}: image {start + index} of {origin}"
        try:
            label = task.label(features)
        except (KeyError, TypeError, IndexError) as error:
            raise DataError(
                f"{where}: {name} needs another feature ({error!r}); it has {', '.join(features)}"
            ) from error
        if not 0 <= label < num_classes:
            raise DataError(f"{where}: has the label {label}; {name} has the classes 0 to {num_classes - 1}")
        try:
            content, suffix = image_file(features["image"], task.binary)
        except UNREADABLE as error:
            raise DataError(f"{where}: cannot be read: {why_unreadable(error, features['image'])}") from error
        file = images / f"{index:06d}{suffix}"
        file.write_bytes(content)
        lines.append(f"{file.relative_to(folder).as_posix()} {label}")
    if len(lines) != stop - start:
        raise DataError(f"{source.title}: {origin}[{start}:{stop}] gave {len(lines):,} images only")
    return lines


def image_file(encoded: bytes, binary: bool) -> tuple[bytes, str]:
    """Return an image's file and suffix: the original bytes if all readers agree on the pixels.

    Other formats, images with transparency, and images with an Exif tag that turns them for some readers (not for
    tensorflow, and so not for VTAB) become a PNG of the stored pixels; pixels of 0 and 1 (``binary``) become 0 and 255.
    """
    with Image.open(io.BytesIO(encoded)) as image:
        upright = image.getexif().get(ORIENTATION, 1) == 1
        if not binary and upright and image.format in SUFFIXES and image.mode in ("L", "RGB"):
            return encoded, SUFFIXES[image.format]
        pixels = np.asarray(image.convert("L" if binary else "RGB"))
    if binary and pixels.max() <= 1:
        pixels = pixels * np.uint8(255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue(), SUFFIXES["PNG"]


def _bounds(part: Part, source: Source) -> tuple[int, int]:
    if part.split not in source.splits:
        raise DataError(f"{source.title}: has no split {part.split!r}, only {', '.join(source.splits) or 'none'}")
    return part.bounds(source.splits[part.split])
