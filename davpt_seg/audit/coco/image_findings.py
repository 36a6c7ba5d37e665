"""Image files that an annotation file names: sizes in their headers, and Exif tags, against the entries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from ...datasets.pictures import Headers, Picture
from ..exif import Readers, stated_by, tagged_pair
from ..findings import Finding
from .coco_file import CocoFile
from .coco_source import CocoSource

#: Kinds of :meth:`~davpt_seg.audit.exif.Tagged.wrong`, as those of boxes.
TURNED = {"turned": "boxes turned", "not turned": "boxes not turned", "turned or not": "boxes turned or not"}


def size_findings(coco: CocoFile, source: CocoSource, headers: Headers, exif: Optional[str]) -> Iterator[Finding]:
    """Yield images whose size, as the pipeline reads them, is not that of their entries.

    Args:
        coco: annotation file whose entries have the right form.
        source: where the images lie, and how they are read.
        headers: headers by path; files without one are skipped.
        exif: value of ``data_check.exif``.
    """
    readers = Readers(source.pipeline)
    stated = stated_by(readers, exif)
    for image in coco.images:
        header = headers.get(source.path_of(image))
        if header is not None:
            yield from _of_image(image, source.path_of(image), header, readers, stated)


def _of_image(
    image: Mapping[str, Any], path: str, header: Picture, readers: Readers, stated: Optional[str]
) -> Iterator[Finding]:
    entry = (image["width"], image["height"])
    if header.turned:
        drawn = Picture(entry, "", 1, None)
        pair = tagged_pair(readers, path, header, path, drawn)
        wrong = pair.wrong(stated)
        if wrong in TURNED:
            size = f"stored {header.size[0]} x {header.size[1]}, its entry {entry[0]:g} x {entry[1]:g}"
            yield Finding(TURNED[wrong], path, f"Exif orientation {header.orientation}, {size}")
        if wrong != "size":
            return
    width, height = header.upright_size if readers.turn_image(header) else header.size
    if entry != (width, height):
        kind = "entry swapped" if entry == (height, width) else "entry size"
        yield Finding(kind, path, f"{width} x {height}, its entry {entry[0]:g} x {entry[1]:g}")


def paths_of(coco: CocoFile, source: CocoSource) -> Sequence[str]:
    """Return the paths of the images, each once."""
    return list(dict.fromkeys(source.path_of(image) for image in coco.images))
