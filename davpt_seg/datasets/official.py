"""What whole copies of the published data sets hold."""

from __future__ import annotations

from typing import Any

# Images of each split that a data set of mmseg has, by its type.
# ADE20K: 20,210 and 2,000 (SceneParse150, https://github.com/CSAILVision/sceneparsing).
# PASCAL Context: VOC2010's train and val lists hold 4,998 and 5,105 (10,103 together,
# http://host.robots.ox.ac.uk/pascal/VOC/history.html), trainval_merged.json, and with it mmseg's converter, 4,996 and
# 5,104 (https://github.com/zhanghang1989/PyTorch-Encoding/issues/155).
COUNTS: dict[str, dict[str, tuple[int, ...]]] = {
    "ADE20KDataset": {"train": (20210,), "val": (2000,)},
    "PascalContextDataset": {"train": (4996, 4998), "val": (5104, 5105)},
    "PascalContextDataset59": {"train": (4996, 4998), "val": (5104, 5105)},
}


def expected_images(config: Any, split: str) -> tuple[int, ...]:
    """Return how many images the split of a published data set may have; empty where nothing is known."""
    kind = config["type"] if isinstance(config["type"], str) else config["type"].__name__
    return COUNTS.get(kind.rpartition(".")[2], {}).get("val" if split == "test" else split, ())


def ade20k(root: str) -> dict[str, dict[str, Any]]:
    """Return the data sets of ``ADEChallengeData2016``, by split."""
    return {
        split: dict(
            type="ADE20KDataset",
            data_root=root,
            data_prefix=dict(img_path=f"images/{folder}", seg_map_path=f"annotations/{folder}"),
        )
        for split, folder in (("train", "training"), ("val", "validation"))
    }


def pascal_context(root: str, classes: int = 60) -> dict[str, dict[str, Any]]:
    """Return the data sets of PASCAL Context in mmseg's layout of ``VOC2010``, by split; of 60 or 59 classes."""
    return {
        split: dict(
            type="PascalContextDataset" if classes == 60 else "PascalContextDataset59",
            data_root=root,
            data_prefix=dict(img_path="JPEGImages", seg_map_path="SegmentationClassContext"),
            ann_file=f"ImageSets/SegmentationContext/{split}.txt",
        )
        for split in ("train", "val")
    }
