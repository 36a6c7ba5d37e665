"""Ids of images and categories in COCO's results."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError, some


class Ids:
    """Ids of images and categories in COCO's results.

    Args:
        images: those that are predicted; numbered from 1 without annotations.
        classes: names of the C classes; numbered from 1 without annotations.
        annotations: COCO file whose ids are used: those of images by file name, those of categories by name.

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
            categories, files = _ids(content, "categories", "name", annotations), _files(content, annotations)
            if missing := [name for name in classes if name not in categories]:
                raise InputError(
                    f"--coco {annotations} has no categories {some(missing)}, which the detector finds; it has "
                    f"{some(list(categories))}"
                )
            if missing := [image.name for image in images if image.name not in files]:
                raise InputError(f"--coco {annotations} lists no image {some(missing)}, so that it has no id")
            by_name: dict[str, Path] = {}
            for image in images:
                if (first := by_name.setdefault(image.name, image)) != image:
                    raise InputError(
                        f"--coco {annotations}: {first} and {image} have the same name, and would get the same id; "
                        "predict the images of one folder at a time"
                    )
            self.categories = [categories[name] for name in classes]
            self._images = {image: files[image.name] for image in images}

    def image(self, path: Path) -> int:
        """Return the id of one of the images."""
        return self._images[path]


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"--coco {path} cannot be read as a COCO file of annotations: {error}") from error


def _files(content: Any, path: str) -> dict[str, int]:
    """Return ids by the name of a file, without folders."""
    return {Path(name).name: key for name, key in _ids(content, "images", "file_name", path).items()}


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
