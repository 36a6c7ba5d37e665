"""Tiny detectors with random values, and COCO files of what they find."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from davpt_seg.experiments.compose import compose_from_words
from davpt_seg.training.model import build_model

SIZE = (96, 128)  # height and width of the images, which the test pipeline enlarges
WORDS = "method=vpt_deep+zero_start,head={head},trunk=vitti,data=demo_boxes,schedule=adamw_iters,iters=25"
SMALL: dict[str, dict[str, Any]] = {
    "fcos_small": {
        "model.neck.out_channels": 32,
        "model.bbox_head.in_channels": 32,
        "model.bbox_head.feat_channels": 32,
    },
    "mask_rcnn": {
        "model.neck.out_channels": 8,
        "model.rpn_head.in_channels": 8,
        "model.rpn_head.feat_channels": 8,
        "model.roi_head.bbox_roi_extractor.out_channels": 8,
        "model.roi_head.bbox_head.in_channels": 8,
        "model.roi_head.bbox_head.fc_out_channels": 16,
        "model.roi_head.mask_roi_extractor.out_channels": 8,
        "model.roi_head.mask_head.num_convs": 1,
        "model.roi_head.mask_head.in_channels": 8,
        "model.roi_head.mask_head.conv_out_channels": 8,
        "model.test_cfg.rpn.max_per_img": 20,
        "model.test_cfg.rcnn.score_thr": 0.0,
        "model.test_cfg.rcnn.max_per_img": 10,
    },
}
TEST = {"fcos_small": {"model.test_cfg.score_thr": 0.0, "model.test_cfg.max_per_img": 10}}


class Tiny(NamedTuple):
    """Files of a detector.

    Attributes:
        config: file of its config.
        checkpoint: file of its weights, its config and its classes.
        root: folder of its data, in the layout of the demo's scenes.
        images: its images.
    """

    config: str
    checkpoint: str
    root: Path
    images: list[str]

    @property
    def annotations(self) -> str:
        """COCO file of the validation images."""
        return str(self.root / "annotations" / "validation.json")


def tiny_detector(folder: Path, monkeypatch: pytest.MonkeyPatch, head: str = "fcos_small", count: int = 3) -> Tiny:
    """Write a detector with random values, and images of noise without annotations."""
    root = folder / "scenes"
    monkeypatch.setenv("DEMO_SCENES_ROOT", str(root))
    cfg = compose_from_words(WORDS.format(head=head))
    cfg.merge_from_dict({**SMALL[head], **TEST.get(head, {})})
    torch.manual_seed(0)
    model: Any = build_model(cfg)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not name.startswith("backbone.trunk"):
                parameter.add_(0.1 * torch.randn(parameter.shape))
    cfg = Config(cfg.to_dict())
    config, checkpoint = folder / f"{head}.py", folder / f"{head}.pth"
    cfg.dump(config)
    meta = cfg.test_dataloader.dataset.metainfo
    content = dict(cfg=cfg.pretty_text, dataset_meta=dict(classes=meta.classes, palette=meta.palette))
    torch.save(dict(state_dict=model.state_dict(), meta=content), checkpoint)
    images = [root / "images" / "validation" / f"{number:04d}.png" for number in range(count)]
    images[0].parent.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for image in images:
        Image.fromarray(rng.integers(0, 256, (*SIZE, 3), dtype=np.uint8)).save(image)
    return Tiny(str(config), str(checkpoint), root, [str(image) for image in images])


def annotate(tiny: Tiny, found: dict[str, list[dict[str, Any]]], classes: tuple[str, ...]) -> None:
    """Write the COCO file of a detector's images; ids of images and categories are no positions.

    Args:
        tiny: the detector.
        found: annotations of each image, by path: ``bbox`` and ``category`` (a position).
        classes: names of the classes.
    """
    images = [
        dict(id=100 + 7 * number, file_name=Path(path).name, height=SIZE[0], width=SIZE[1])
        for number, path in enumerate(tiny.images)
    ]
    rows = [
        dict(
            id=1000 * image["id"] + number,
            image_id=image["id"],
            category_id=10 + 3 * row["category"],
            bbox=row["bbox"],
            area=row["bbox"][2] * row["bbox"][3],
            iscrowd=0,
            segmentation=[_corners(*row["bbox"])],
        )
        for image, path in zip(images, tiny.images)
        for number, row in enumerate(found[path], start=1)
    ]
    categories = [dict(id=10 + 3 * number, name=name) for number, name in enumerate(classes)]
    content = dict(images=images, annotations=rows, categories=categories)
    Path(tiny.annotations).parent.mkdir(parents=True, exist_ok=True)
    Path(tiny.annotations).write_text(json.dumps(content))


def _corners(left: float, top: float, width: float, height: float) -> list[float]:
    return [left, top, left + width, top, left + width, top + height, left, top + height]
