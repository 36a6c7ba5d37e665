"""Pipelines whose errors name the image or mask that could not be read, in a data loader's worker too."""

from __future__ import annotations

from typing import Any, Optional

import cv2
from mmengine.dataset import Compose

from ..errors import DataError, InputError
from ..terminal.program import program
from .pictures import UNREADABLE, why_unreadable
from .pipelines import step_name

FAILURES = (*UNREADABLE, AssertionError, cv2.error)  # of Pillow, mmcv and OpenCV
FILES = {"LoadAnnotations": "seg_map_path"}  # all other steps that load something read img_path


class NamedFiles(Compose):
    """Pipeline that works like a given one, and names the file where one of its loading steps fails.

    Args:
        pipeline: built pipeline, whose steps are shared.
    """

    def __init__(self, pipeline: Compose) -> None:
        self.transforms = pipeline.transforms

    def __call__(self, data: dict) -> Optional[dict]:
        """Apply the steps; None where one of them gave None.

        Raises:
            DataError: an image or mask that cannot be read.
        """
        for step in self.transforms:
            try:
                found = step(data)
            except FAILURES as error:
                path = data.get(FILES.get(step_name(step), "img_path"))
                if isinstance(error, InputError) or not step_name(step).startswith("Load") or not path:
                    raise
                raise DataError(
                    f"{'mask' if step_name(step) in FILES else 'image'} {path!r} cannot be read: "
                    f"{why_unreadable(error, str(path))}. '{program('check-dataset')} CONFIG' finds all such files"
                ) from error
            if found is None:
                return None
            data = found
        return data


def name_files(dataset: Any) -> None:
    """Let the pipelines of a built data set, and of those inside it, name the files that cannot be read; in place."""
    for inner in (getattr(dataset, "dataset", None), *(getattr(dataset, "datasets", None) or ())):
        if inner is not None:
            name_files(inner)
    if type(getattr(dataset, "pipeline", None)) is Compose:
        dataset.pipeline = NamedFiles(dataset.pipeline)
