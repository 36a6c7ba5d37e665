"""Tiny data sets in COCO's format, and detection experiments on them that train in seconds."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.config import Config
from PIL import Image

CLASSES = ("brick", "cat", "grass", "galaxies", "motorcycle", "retina", "rocket", "tissue", "temple", "flower")
SIZES = ((80, 96), (96, 80), (64, 96), (96, 64))  # (height, width), wide and tall ones


def write_coco(root: Path, train: int = 6, val: int = 3, masks: bool = True, crowds: bool = False) -> Path:
    """Write rectangles of one colour a class, in the layout of the demo's scenes, with two or three in each image.

    Args:
        root: folder to write into.
        train: number of training images.
        val: number of validation images.
        masks: whether the annotations have masks.
        crowds: whether the last object of each image is a crowd.
    """
    rng = np.random.default_rng(0)
    for split, count in (("training", train), ("validation", val)):
        images, annotations = [], []
        folder = root / "images" / split
        folder.mkdir(parents=True)
        for number in range(count):
            height, width = SIZES[number % len(SIZES)]
            pixels = rng.integers(100, 140, (height, width, 3), dtype=np.uint8)
            objects = [_box(rng, height, width) for _ in range(2 + number % 2)]
            for place, (left, top, wide, high) in enumerate(objects):
                category = int(rng.integers(len(CLASSES)))
                pixels[top : top + high, left : left + wide] = [(category * k) % 256 for k in (37, 91, 151)]
                right, bottom = left + wide, top + high
                crowd = crowds and place == len(objects) - 1
                one = dict(id=len(annotations) + 1, image_id=number + 1, category_id=category + 1, iscrowd=int(crowd))
                one.update(bbox=[left, top, wide, high], area=wide * high)
                if masks:
                    one["segmentation"] = [[left, top, right, top, right, bottom, left, bottom]]
                annotations.append(one)
            name = f"{number:03d}.png"
            Image.fromarray(pixels).save(folder / name)
            images.append(dict(id=number + 1, file_name=name, height=height, width=width))
        categories = [dict(id=place + 1, name=name) for place, name in enumerate(CLASSES)]
        (root / "annotations").mkdir(exist_ok=True)
        content = dict(images=images, annotations=annotations, categories=categories)
        (root / "annotations" / f"{split}.json").write_text(json.dumps(content))
    return root


def _box(rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int]:
    left, top = int(rng.integers(0, width - 40)), int(rng.integers(0, height - 40))
    return left, top, int(rng.integers(20, 40)), int(rng.integers(20, 40))


def tiny_detector(data: Path, work_dir: Path, method: str = "davpt+zero_start", head: str = "fcos_small") -> Config:
    """Return an experiment of four iterations on a tiny random trunk, by words, with images of 96 pixels at most.

    Proposals are few, and heads narrow: the losses and predictions are those of the large ones.
    """
    from davpt_seg.experiments.compose import compose

    cfg = compose(method=method, head=head, trunk="vitti", data="demo_boxes", schedule="adamw_iters")
    changes: dict[str, Any] = {
        "train_dataloader.batch_size": 2,
        "train_cfg": dict(type="IterBasedTrainLoop", max_iters=4, val_interval=4),
        "param_scheduler": [],
        "optim_wrapper.optimizer.lr": 1e-3,
        "default_hooks.logger.interval": 1,
        "default_hooks.checkpoint.interval": 2,
        "default_hooks.checkpoint.max_keep_ckpts": -1,
        "val_evaluator.ann_file": str(data / "annotations/validation.json"),
        "test_evaluator.ann_file": str(data / "annotations/validation.json"),
    }
    if head == "dino":
        layers = ["model.encoder.layer_cfg.ffn_cfg", "model.decoder.layer_cfg.ffn_cfg"]
        changes |= {f"{layer}.feedforward_channels": 16 for layer in layers}
        changes |= {"model.encoder.num_layers": 1, "model.decoder.num_layers": 2, "model.num_queries": 40}
    elif head != "fcos_small":
        changes |= {"model.test_cfg.rpn.max_per_img": 50, "model.train_cfg.rpn_proposal.max_per_img": 50}
        changes |= {"model.train_cfg.rcnn.sampler.num": 32, "model.roi_head.bbox_head.fc_out_channels": 64}
    cfg.merge_from_dict(changes)
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.data_root = str(data)
        for step in dataset.pipeline:
            if step.type == "Resize":
                step.scale = (96, 96)
    cfg.work_dir = str(work_dir)
    cfg.launcher = "none"
    cfg.visualizer.pop("name")
    cfg.experiment_name = uuid.uuid4().hex  # MMEngine's loggers and visualizers live as long as their name
    return cfg
