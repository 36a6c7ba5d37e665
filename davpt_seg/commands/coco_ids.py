"""Ids of images and categories in COCO's results."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

from ..errors import DataError, InputError, some
from ..text_files import read_json


class Ids:
    """Ids of images and categories in COCO's results.

    Args:
        images: those that are predicted; numbered from 1 without annotations.
        classes: names of the C classes; numbered from 1 without annotations.
        annotations: COCO file whose ids are used: those of images by file name, with folders where files share a name,
            and those of categories by name.

    Attributes:
        categories: id of each class.

    Raises:
        InputError: annotations that cannot be read, or lack one of the images or classes; or two images of one name.
    """

    def __init__(self, images: Sequence[Path], classes: Sequence[str], annotations: str = "") -> None:
        self.categories = list(range(1, len(classes) + 1))
        self._images = {image: number for number, image in enumerate(images, start=1)}
        if annotations:
            content = _read(annotations)
            categories = _ids(content, "categories", "name", annotations)
            if missing := [name for name in classes if name not in categories]:
                raise InputError(
                    f"--coco {annotations} has no categories {some(missing)}, which the detector finds; it has "
                    f"{some(list(categories))}"
                )
            self.categories = [categories[name] for name in classes]
            self._images = _of_images(images, _ids(content, "images", "file_name", annotations), annotations)

    def image(self, path: Path) -> int:
        """Return the id of one of the images."""
        return self._images[path]


def _read(path: str) -> Any:
    try:
        return read_json(path)
    except (OSError, DataError) as error:
        raise InputError(f"--coco {path} cannot be read as a COCO file of annotations: {error}") from error


def _of_images(images: Sequence[Path], ids: dict[str, int], annotations: str) -> dict[Path, int]:
    """Return the id of each image: that of the entry of its name; of several, the one whose folders fit best.

    Raises:
        InputError: an image without an entry, or with several that fit equally well; two images of one entry.
    """
    by_path = {PurePath(name): number for name, number in ids.items()}  # "./a.jpg" and "a.jpg" are one
    entries: dict[str, list[PurePath]] = {}
    for path in by_path:
        entries.setdefault(path.name, []).append(path)
    if missing := [image.name for image in images if image.name not in entries]:
        raise InputError(f"--coco {annotations} lists no image {some(missing)}, so that it has no id")
    found: dict[Path, int] = {}
    taken: dict[PurePath, Path] = {}
    for image in images:
        fits = {entry: _common(entry, image) for entry in entries[image.name]}
        best = [entry for entry, length in fits.items() if length == max(fits.values())]
        if len(best) > 1:
            raise InputError(
                f"--coco {annotations}: {image} may be {some(best)}; give the images by paths with the same folders"
            )
        if (first := taken.setdefault(best[0], image)) != image:
            raise InputError(
                f"--coco {annotations}: {first} and {image} have the same name, and would both get the id of "
                f"{best[0]}; predict the images of one folder at a time"
            )
        found[image] = by_path[best[0]]
    return found


def _common(entry: PurePath, image: Path) -> int:
    """Return how many parts at the end of two paths are the same."""
    pairs = zip(reversed(entry.parts), reversed(Path(os.path.abspath(image)).parts))
    return next((number for number, (one, other) in enumerate(pairs) if one != other), len(entry.parts))


def _ids(content: Any, key: str, name: str, path: str) -> dict[str, int]:
    """Return the ids of a list of a COCO file by name.

    Raises:
        InputError: no such list, or a name that two have.
    """
    rows = content.get(key) if isinstance(content, dict) else None
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and isinstance(row.get(name), str) and type(row.get("id")) is int for row in rows
    ):
        raise InputError(f"--coco {path} must be a COCO file, with {key!r} as a list of objects with 'id' and {name!r}")
    found = {row[name]: row["id"] for row in rows}
    if len(found) < len(rows):
        raise InputError(f"--coco {path}: two {key} have the same {name!r}, so that ids are ambiguous")
    return found
