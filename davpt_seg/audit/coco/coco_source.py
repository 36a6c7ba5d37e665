"""Where a data set in COCO's format lies, and how it is read."""

from __future__ import annotations

import os.path as osp
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Optional

from mmengine.registry import DATASETS, DefaultScope

from ...datasets.pipelines import all_steps, step_name
from .coco_file import CocoFile


class CocoSource(NamedTuple):
    """A data set in COCO's format.

    Attributes:
        ann_file: annotation file.
        images: folder that the file's names of images are relative to.
        classes: names of the config's classes; None for those of the file.
        pipeline: configs of the transforms.
        evaluated: whether scores are computed by the file.
        data_root: the config's, for advice.
    """

    ann_file: str
    images: str
    classes: Optional[tuple[str, ...]] = None
    pipeline: Sequence[Any] = ()
    evaluated: bool = True
    data_root: str = ""

    @property
    def reads_masks(self) -> bool:
        """Return whether the pipeline reads masks of the objects."""
        steps = (step for step in all_steps(self.pipeline) if step_name(step) == "LoadAnnotations")
        return any(step.get("with_mask") for step in steps)

    @property
    def boxes_do(self) -> bool:
        """Return whether an object without a mask is read as its box."""
        return any(step_name(step) == "BoxMasks" for step in all_steps(self.pipeline))

    @property
    def where(self) -> str:
        """Name the data set, for messages."""
        return f"annotation file {self.ann_file!r}"

    def path_of(self, image: Mapping[str, Any]) -> str:
        """Return the path of an image of the file."""
        return osp.join(self.images, image["file_name"])

    def items(self, coco: CocoFile) -> list[dict[str, Any]]:
        """Return an item for each image, as data sets have them."""
        return [dict(img_path=self.path_of(image)) for image in coco.images]


def coco_source(config: Mapping[str, Any]) -> Optional[CocoSource]:
    """Describe the data set of a config; None for one that is not mmdet's ``CocoDataset``, or reads its file otherwise.

    Args:
        config: config of a data set without wrappers.
    """
    kind = coco_kind(config)
    if kind is None:
        return None
    arguments = {key: value for key, value in config.items() if key not in ("type", "pipeline")}
    dataset = kind(**{**arguments, "lazy_init": True})
    return CocoSource(
        dataset.ann_file,
        dataset.data_prefix.get("img", ""),
        tuple(dataset.metainfo.get("classes") or ()),
        config.get("pipeline") or (),
        bool(dataset.test_mode),
        dataset.data_root or "",
    )


def coco_kind(config: Mapping[str, Any]) -> Optional[Any]:
    """Return mmdet's ``CocoDataset``, or a class that reads its file alike; None for others, and without mmdet."""
    kind = config.get("type")
    if isinstance(kind, str):
        if kind in ("CocoDataset", "mmdet.CocoDataset"):
            from mmdet.datasets import CocoDataset

            return CocoDataset
        scope = DefaultScope.get_current_instance()
        kind = DATASETS.get(kind) if kind.startswith("mmdet.") or (scope and scope.scope_name == "mmdet") else None
    if "mmdet.datasets" not in sys.modules or not isinstance(kind, type):
        return None
    from mmdet.datasets import CocoDataset

    if not issubclass(kind, CocoDataset):
        return None
    same = all(getattr(kind, name) is getattr(CocoDataset, name) for name in ("COCOAPI", "load_data_list"))
    return kind if same else None
