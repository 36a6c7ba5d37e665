"""Images with an Exif orientation tag, and the pixels that their masks were drawn on.

Readers of images turn an image by its tag, readers of masks do not. A mask that was drawn on the stored pixels
then lies sideways on its image; one that was drawn on the upright image fits.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Optional

import cv2
import numpy as np
from mmengine.registry import TRANSFORMS
from PIL import Image

from ..datasets.pictures import ORIENTATION, Picture
from ..datasets.pipelines import MASK_LOADERS, all_steps, find_step, step_name

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'  # noqa: E501
WRITABLE = ("JPEG", "PNG", "TIFF", "WEBP")
STORED, UPRIGHT, EITHER, NEITHER = "stored", "upright", "either", "neither"


class Readers:
    """How a pipeline reads images and masks, tried with its loading steps once for each file format.

    Args:
        pipeline: configs of its transforms; mmseg's defaults replace missing steps.
    """

    def __init__(self, pipeline: Sequence[Any] = ()) -> None:
        loaders = (step for step in all_steps(pipeline) if step_name(step).startswith("LoadImage"))
        self.image_step = next(loaders, None) or dict(type="LoadImageFromFile")
        self.mask_step = find_step(pipeline, *MASK_LOADERS) or dict(type="LoadAnnotations")
        self._known: dict[tuple[str, str, str], bool] = {}

    @property
    def ignores_tags(self) -> bool:
        """Return whether the config makes the pipeline read images as stored."""
        flag = self.image_step.get("color_type", "color")
        if isinstance(flag, str):
            return flag == "unchanged" or flag.endswith("_ignore_orientation")
        return bool(flag & cv2.IMREAD_IGNORE_ORIENTATION)  # part of -1 (unchanged), too

    def turn_image(self, picture: Picture) -> bool:
        """Return whether an image of this format, with this kind of tag, is turned when read."""
        return picture.turned and self._turn("img", picture)

    def turn_mask(self, picture: Picture) -> bool:
        """Return whether a mask of this format, with this kind of tag, is turned when read."""
        return picture.turned and self._turn("gt_seg_map", picture)

    def _turn(self, key: str, picture: Picture) -> bool:
        writable = picture.format in WRITABLE and picture.tag == "exif"
        kind = picture.format if writable else "JPEG"  # MPO is like JPEG; the other kind of tag is XMP for all
        question = (key, kind, picture.tag)
        if question not in self._known:
            self._known[question] = self._ask(key, kind, picture.tag)
        return self._known[question]

    def _ask(self, key: str, kind: str, tag: str) -> bool:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "turned"
            exif = Image.Exif()
            exif[ORIENTATION] = 6
            metadata: dict[str, Any] = dict(exif=exif) if tag == "exif" else dict(xmp=XMP)
            wide = np.zeros((8, 16) if key == "gt_seg_map" else (8, 16, 3), np.uint8)
            Image.fromarray(wide).save(path, kind, **metadata)
            results: dict[str, Any] = dict(
                img_path=str(path), seg_map_path=str(path), reduce_zero_label=False, label_map=None, seg_fields=[]
            )
            step = dict(self.image_step if key == "img" else self.mask_step)
            step.pop("reduce_zero_label", None)  # its effect is in the results
            return bool(TRANSFORMS.build(step)(results)[key].shape[:2] == (16, 8))


class Tagged(NamedTuple):
    """An image with an orientation tag.

    ``drawn`` names the pixels whose size its mask has, ``read`` is how the image is read: ``stored`` or ``upright``.
    """

    path: str
    orientation: int
    size: tuple[int, int]
    mask_path: str
    mask_size: tuple[int, int]
    drawn: str
    read: str

    def wrong(self, stated: Optional[str]) -> Optional[str]:
        """Return the kind of the problem, a key of ``report.NEXT_STEPS``; None if image and mask fit.

        Args:
            stated: pixels that masks were drawn on, used where sizes do not show it; None: unknown.
        """
        drawn = self.drawn_by(stated)
        if drawn == self.read:
            return None
        return {None: "turned or not", STORED: "turned", UPRIGHT: "not turned"}.get(drawn, "size")

    def drawn_by(self, stated: Optional[str]) -> Optional[str]:
        """Return which pixels its mask was drawn on: by the sizes or, where they do not show it, as stated."""
        return stated if self.drawn == EITHER else self.drawn

    @property
    def detail(self) -> str:
        """Describe it for a message."""
        mask = f"its mask {self.mask_size[0]} x {self.mask_size[1]}"
        return f"Exif orientation {self.orientation}, stored {self.size[0]} x {self.size[1]}, {mask}"


def tagged_pair(readers: Readers, path: str, image: Picture, mask_path: str, mask: Picture) -> Tagged:
    """Compare the sizes of an image that has an orientation tag and its mask."""
    turned_mask = readers.turn_mask(mask)
    size = mask.upright_size if turned_mask else mask.size
    fits = (size == image.size, size == image.upright_size)
    drawn = {(True, True): EITHER, (True, False): STORED, (False, True): UPRIGHT, (False, False): NEITHER}[fits]
    if turned_mask and drawn == EITHER:
        drawn = UPRIGHT
    read = UPRIGHT if readers.turn_image(image) else STORED
    return Tagged(path, image.orientation, image.size, mask_path, size, drawn, read)


def stated_by(readers: Readers, exif: Optional[str]) -> Optional[str]:
    """Return the pixels that the config states for its masks, by ``data_check.exif`` or by how it reads images."""
    return exif or (STORED if readers.ignores_tags else None)
