"""Images of an explorer, and what its models saw in them."""

from __future__ import annotations

import tempfile
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ..datasets.pictures import UNREADABLE, why_unreadable
from ..errors import InputError
from .opened import Opened
from .seen import Seen

SMALLEST = 16  # pixels of a side
THUMB = (160, 120)  # pixels, width and height
KEPT = 32  # images and models whose results stay in memory
COMPARED = 16  # images in which nearest patches are searched; with two models, their results fill KEPT
LARGEST_FILE = 2**28  # bytes


@dataclass(frozen=True)
class Picture:
    """Image file of an explorer.

    Attributes:
        name: file name.
        path: path of the file.
        thumb: small image (h, w, 3) uint8 RGB.
    """

    name: str
    path: Path
    thumb: np.ndarray


class Collection:
    """Models, images, and what the models saw, computed when it is asked for.

    Args:
        models: one or two models.
        images: image files.

    Attributes:
        models: as given.
        pictures: the images; :meth:`add` appends.

    Raises:
        InputError: a file that is no image, or has fewer than 16 pixels on a side.
    """

    def __init__(self, models: Sequence[Opened], images: Sequence[Path]) -> None:
        self.models = tuple(models)
        self.pictures = [_picture(path.name, path, str(path)) for path in images]
        self._added = tempfile.TemporaryDirectory(prefix="davpt_seg_")  # files, so that all images are read alike
        self._numbers = count()
        self._seen: OrderedDict[tuple[int, int], Seen] = OrderedDict()
        self._lock = threading.RLock()  # the server answers in several threads

    def add(self, name: str, content: bytes) -> int:
        """Append an image, and return its index.

        Args:
            name: file name.
            content: content of the file.

        Raises:
            InputError: it is no image, it has fewer than 16 pixels on a side, or one of the models does not take it.
        """
        if len(content) > LARGEST_FILE:
            raise InputError(f"image {name!r} has more than {LARGEST_FILE >> 20} MiB: make it smaller")
        path = Path(self._added.name) / str(next(self._numbers))
        path.write_bytes(content)
        try:
            picture = _picture(name, path, name)
            with self._lock:
                seen = [model.look(path) for model in self.models]
                index = len(self.pictures)
                self.pictures.append(picture)
                for model, each in enumerate(seen):
                    self._keep((model, index), each)
        except InputError as error:
            path.unlink()
            raise InputError(str(error).replace(str(path), name)) from error
        return index

    def model(self, index: int) -> Opened:
        """Return a model.

        Raises:
            InputError: there is no such model.
        """
        if not 0 <= index < len(self.models):
            raise InputError(f"there is no model {index}, but {len(self.models)}; reload the page")
        return self.models[index]

    def seen(self, model: int, image: int) -> Seen:
        """Return what a model saw in an image.

        Raises:
            InputError: the model does not take the image, or there is no such model or image.
        """
        opened = self.model(model)
        if not 0 <= image < len(self.pictures):
            raise InputError(f"there is no image {image}, but {len(self.pictures)}; reload the page")
        key = model, image
        with self._lock:
            found = self._seen[key] if key in self._seen else opened.look(self.pictures[image].path)
            self._keep(key, found)
            return found

    def _keep(self, key: tuple[int, int], seen: Seen) -> None:
        self._seen[key] = seen
        self._seen.move_to_end(key)
        while len(self._seen) > KEPT:
            self._seen.popitem(last=False)

    def compared(self, image: int) -> list[int]:
        """Return the indices of up to 16 images whose patches are compared: an image and those that follow it."""
        count = len(self.pictures)
        return sorted({(image + i) % count for i in range(min(COMPARED, count))})

    @property
    def lock(self) -> threading.RLock:
        """Lock under which models compute."""
        return self._lock


def _picture(name: str, path: Path, where: str) -> Picture:
    """Read an image's size and small version; ``where`` names it in messages."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            image.draft("RGB", (4 * THUMB[0], 4 * THUMB[1]))  # decodes large JPEG files several times faster
            small = ImageOps.exif_transpose(image).convert("RGB")
    except UNREADABLE as error:
        reason = why_unreadable(error, str(path))
        raise InputError(f"image {where!r} cannot be read: {reason}") from error
    if min(width, height) < SMALLEST:
        raise InputError(
            f"image {where!r} has {width} x {height} pixels; the explorer shows patches, so both sides must have at "
            f"least {SMALLEST} pixels: choose another image"
        )
    small.thumbnail(THUMB)
    return Picture(name, path, np.asarray(small))
