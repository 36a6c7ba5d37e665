"""Data sets, samplers and transforms that mmseg and mmpretrain lack."""

import mmengine  # noqa: F401  (first, so that registration finds no half-imported module of ours)

from .box_masks import BoxMasks
from .check_labels import CheckLabels
from .fgvc import FGVC_SETS, FGVCDataset
from .image_folder import ImageFolderDataset
from .load_label_map import LoadLabelMap
from .pk_sampler import PKSampler
from .random_subset import random_subset
from .to_eight_bit import ToEightBit
from .training_part import training_part
from .vtab import VTAB_SETS, VTABDataset

__all__ = [
    "FGVC_SETS",
    "VTAB_SETS",
    "BoxMasks",
    "CheckLabels",
    "FGVCDataset",
    "ImageFolderDataset",
    "LoadLabelMap",
    "PKSampler",
    "ToEightBit",
    "VTABDataset",
    "random_subset",
    "training_part",
]
