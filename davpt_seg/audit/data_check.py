"""Settings of the data checks: a config's key ``data_check``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Optional

import cv2
from mmengine.config import Config

from ..datasets.pipelines import step_name
from ..datasets.recognition import unknown
from ..errors import InputError

CHOICES: dict[str, tuple[Optional[str], ...]] = {
    "exif": (None, "stored", "upright"),
    "labels": ("refuse", "warn"),
    "files": ("refuse", "warn"),
}


class DataCheck(NamedTuple):
    """Strictness of the data checks.

    Args:
        exif: pixels that the masks of images with an Exif orientation tag were drawn on: ``stored`` reads these images
            without turning them; ``upright`` states that turned images fit their masks; None refuses an image whose
            mask does not show it by its size.
        labels: reaction to mask values that contradict the config, as in :mod:`label_patterns`: ``refuse``, or
            ``warn`` for data that are intended so.
        files: reaction to images that lie in the folder and are not read, images that are read from hidden folders,
            images that a list names twice, and JPEG masks: ``refuse`` or ``warn``.
    """

    exif: Optional[str] = None
    labels: str = "refuse"
    files: str = "refuse"

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> DataCheck:
        """Read a config's ``data_check``.

        Raises:
            InputError: an unknown key or value.
        """
        given = config.get("data_check") or {}
        if not isinstance(given, Mapping):
            raise InputError(f"data_check must be a dict with the keys {', '.join(CHOICES)}; got {given!r}")
        for key, value in given.items():
            if key not in CHOICES:
                raise InputError(f"data_check: {unknown(key, CHOICES)}")
            if value not in CHOICES[key]:
                raise InputError(f"data_check.{key} must be one of {', '.join(map(str, CHOICES[key]))}; got {value!r}")
        return cls(**given)


STRICT = DataCheck()


def read_as_stored(node: Any) -> None:
    """Make each ``LoadImageFromFile`` of a config leave images as they are stored, in place."""
    if isinstance(node, Config):
        node = node._cfg_dict
    if isinstance(node, Mapping):
        if step_name(node) == "LoadImageFromFile":
            flag = node.get("color_type", "color")
            if flag in ("color", "grayscale"):
                flag = f"{flag}_ignore_orientation"
            elif isinstance(flag, int):  # OpenCV's, as deep images need; -1, unchanged, has this one
                flag |= cv2.IMREAD_IGNORE_ORIENTATION
            node["color_type"] = flag  # type: ignore[index]
        for child in node.values():
            read_as_stored(child)
    elif isinstance(node, (list, tuple)):
        for child in node:
            read_as_stored(child)
