"""Recipes of the 19 tasks of VTAB-1k: parts and labels of data sets of tensorflow-datasets.

Images and labels of a task: VTAB (arXiv 1910.04867, appendix A; github.com/google-research/task_adaptation).
Choice of 800 and 200 images: VPT (arXiv 2203.12119), the first of VTAB's training and validation parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable, NamedTuple

import numpy as np

Features = Mapping[str, Any]
Label = Callable[[Features], int]


class Part(NamedTuple):
    """Part of a split: from ``start`` to ``stop`` percent of its images, in stored order."""

    split: str
    start: int = 0
    stop: int = 100

    def bounds(self, images: int) -> tuple[int, int]:
        """Return the first image and the one after the last, for a split with this number of images."""
        return images * self.start // 100, images * self.stop // 100


@dataclass(frozen=True)
class Task:
    """Task: its data set of tensorflow-datasets, its parts, and its labels as a function of an example's features.

    ``version`` is the version that VPT used, ``label_feature`` the feature whose class names are those of the labels
    (empty for computed labels), and ``binary`` is whether pixels are stored as 0 and 1.
    """

    dataset: str
    version: str
    parts: tuple[Part, Part, Part]  # training, validation, test
    label: Label
    label_feature: str = ""
    binary: bool = False


def clevr_count(features: Features) -> int:
    """Return the number of objects, 3 to 10, as the classes 0 to 7."""
    return len(features["objects"]["size"]) - 3


def clevr_distance(features: Features) -> int:
    """Return the bin of the nearest object's distance from the camera; bins end at 8, 8.5, 9, 9.5 and 10, inclusive."""
    nearest = np.asarray(features["objects"]["pixel_coords"])[:, 2].min()
    return int(np.searchsorted([8.0, 8.5, 9.0, 9.5, 10.0], nearest))


def kitti_distance(features: Features) -> int:
    """Return the bin of the nearest vehicle's distance: up to 8 m, up to 20 m, farther; 3 if there is none.

    Types 0, 1 and 2 are car, van and truck.
    """
    objects = features["objects"]
    depth = np.asarray(objects["location"], dtype=np.float32).reshape(-1, 3)[:, 2]
    nearest = depth[np.asarray(objects["type"]) < 3].min(initial=1000.0)
    return int(np.searchsorted([8.0, 20.0, 999.0], nearest))


def given(feature: str) -> Label:
    """Return a label function that reads a feature."""
    return lambda features: int(features[feature])


def binned(feature: str, values: int, bins: int) -> Label:
    """Return a label function that groups the ``values`` values of a feature into ``bins`` classes."""
    return lambda features: int(features[feature]) * bins // values


def _labelled(dataset: str, version: str, parts: tuple[Part, Part, Part], feature: str = "label") -> Task:
    return Task(dataset, version, parts, given(feature), label_feature=feature)


OFFICIAL = (Part("train"), Part("validation"), Part("test"))
TENTH_OF_TRAIN = (Part("train", 0, 90), Part("train", 90), Part("test"))
FIFTH_OF_TRAIN = (Part("train", 0, 80), Part("train", 80), Part("test"))
OF_ONE_SPLIT = (Part("train", 0, 60), Part("train", 60, 80), Part("train", 80))
CLEVR = (Part("train", 0, 90), Part("train", 90), Part("validation"))  # its test split has no labels
DSPRITES = (Part("train", 0, 80), Part("train", 80, 90), Part("train", 90))
SMALLNORB = (Part("train"), Part("test", 0, 50), Part("test", 50))

TASKS = {
    "caltech101": _labelled("caltech101", "3.0.1", TENTH_OF_TRAIN),
    "cifar": _labelled("cifar100", "3.0.2", TENTH_OF_TRAIN),
    "dtd": _labelled("dtd", "3.0.1", OFFICIAL),
    "oxford_flowers102": _labelled("oxford_flowers102", "2.1.1", OFFICIAL),
    "oxford_iiit_pet": _labelled("oxford_iiit_pet", "3.2.0", FIFTH_OF_TRAIN),
    "svhn": _labelled("svhn_cropped", "3.0.0", TENTH_OF_TRAIN),
    "sun397": _labelled("sun397/tfds", "4.0.0", OFFICIAL),
    "patch_camelyon": _labelled("patch_camelyon", "2.0.0", OFFICIAL),
    "eurosat": _labelled("eurosat/rgb", "2.0.0", OF_ONE_SPLIT),
    "resisc45": _labelled("resisc45", "3.0.0", OF_ONE_SPLIT),
    "diabetic_retinopathy": _labelled("diabetic_retinopathy_detection/btgraham-300", "3.0.0", OFFICIAL),
    "clevr_count": Task("clevr", "3.1.0", CLEVR, clevr_count),
    "clevr_dist": Task("clevr", "3.1.0", CLEVR, clevr_distance),
    "dmlab": _labelled("dmlab", "2.0.1", OFFICIAL),
    "kitti": Task("kitti", "3.2.0", OFFICIAL, kitti_distance),
    "dsprites_loc": Task("dsprites", "2.0.0", DSPRITES, binned("label_x_position", 32, 16), binary=True),
    "dsprites_ori": Task("dsprites", "2.0.0", DSPRITES, binned("label_orientation", 40, 16), binary=True),
    "smallnorb_azi": _labelled("smallnorb", "2.0.0", SMALLNORB, "label_azimuth"),
    "smallnorb_ele": _labelled("smallnorb", "2.0.0", SMALLNORB, "label_elevation"),
}


def divided(task: Task) -> Task:
    """Return the recipe for a copy that already has VTAB-1k's splits and labels."""
    parts = (Part("train800"), Part("val200"), Part("test"))
    return Task(task.dataset, task.version, parts, given("label"), label_feature="label")
