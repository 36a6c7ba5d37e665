"""Check, before training, for images that are turned when read while their masks are not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Optional

from ..datasets.pictures import UNREADABLE, Headers, Picture, read_picture, too_large, why_unreadable
from ..errors import DataError
from ..long_work import MANY, WORKERS, in_parallel
from ..terminal.program import program
from .exif import Readers, Tagged, stated_by, tagged_pair

CURES = {
    "turned": "are turned when read, while their masks have the size of the pixels as stored. Drop the tags, which "
    "leaves the pixels as they are ({check} CONFIG --drop-orientation), or read images as stored "
    "(--cfg-options data_check.exif=stored)",
    "not turned": "are read as stored, while their masks have the size of the upright image. Read images upright: "
    "remove data_check.exif=stored and the step's color_type, or take a backend that turns them "
    "(imdecode_backend='cv2' or 'pillow')",
    "turned or not": "have masks whose size fits both the stored and the upright pixels. Look at both readings "
    "({check} CONFIG --overlays DIR), and state which is right: --cfg-options "
    "data_check.exif=upright if the masks fit the upright images, data_check.exif=stored if they fit the pixels as "
    "stored",
    "size": "have masks of another size; make these again at the image's size, without interpolation",
}


def read_headers(items: Sequence[Mapping[str, Any]]) -> Headers:
    """Read the headers of a data set's images that have a mask, by path; None for an unreadable file."""
    paths = [item["img_path"] for item in items if item.get("seg_map_path")]
    return dict(zip(paths, in_parallel(header_of, paths, WORKERS, "headers", bar=len(paths) > MANY)))


def check_orientation(
    where: str, items: Sequence[Any], pipeline: Sequence[Any], exif: Optional[str], headers: Headers
) -> None:
    """Compare the images of a data set that have an orientation tag with their masks.

    Args:
        where: name of the data set, for messages.
        items: items of ``load_data_list``; those without mask are skipped.
        pipeline: configs of the transforms that read them.
        exif: value of ``data_check.exif``.
        headers: headers of the images.

    Raises:
        DataError: a tagged image is not read as its mask was drawn, or this is unknown.
    """
    readers = Readers(pipeline)
    stated = stated_by(readers, exif)
    wrong: dict[str, list[Tagged]] = {}
    for pair in tagged_images(items, readers, headers):
        kind = pair.wrong(stated)
        if kind:
            wrong.setdefault(kind, []).append(pair)
    for kind, cure in CURES.items():
        if kind in wrong:
            first, advice = wrong[kind][0], cure.format(check=program("check-dataset"))
            raise DataError(
                f"{where}: {len(wrong[kind])} of {len(items)} images have an Exif orientation tag and {advice}. "
                f"For instance {first.path}: {first.detail}"
            )


def tagged_images(items: Sequence[Mapping[str, Any]], readers: Readers, headers: Headers) -> Iterator[Tagged]:
    """Yield the images of a data set that have an orientation tag and a mask; only headers are read."""
    pairs = [(item["img_path"], item["seg_map_path"]) for item in items if item.get("seg_map_path")]
    for path, mask_path in pairs:
        image = headers[path]
        mask = header_of(mask_path) if image is not None and image.turned else None
        if image is not None and mask is not None:
            yield tagged_pair(readers, path, image, mask_path, mask)


def header_of(path: str) -> Optional[Picture]:
    """Read an image file's header; None for what Pillow cannot read, which may be a format of another backend.

    Raises:
        DataError: an image with so many pixels that its mask, of the same size, cannot be read.
    """
    try:
        return read_picture(path, decode=False)
    except UNREADABLE as error:
        if too_large(error):
            raise DataError(f"image or mask {path} cannot be read: {why_unreadable(error, path)}") from error
        return None
