"""The panel of a detector in TensorBoard shows what its validation found; the training is unchanged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

pytest.importorskip("mmdet")
from davpt_seg.engine.painted_samples import pixels_of
from davpt_seg.training.runner import CommandRunner
from davpt_seg.training.watching import watch
from davpt_seg.visualization.detections import Detected, Detections
from davpt_seg.visualization.objects_panel import objects_panel

from ..coco import tiny_detector, write_coco

IMAGES = 4  # of the validation, all of which are drawn


class Found(Hook):
    """Copies of what each validation found."""

    def __init__(self) -> None:
        self.validations: dict[int, list[Any]] = {}

    def after_val_iter(self, runner: Any, batch_idx: int, data_batch: Any = None, outputs: Any = None) -> None:
        """Copy the samples."""
        self.validations.setdefault(runner.iter, []).extend(each.clone() for each in outputs)


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"), train=4, val=IMAGES)


def detector(coco: Path, work_dir: Path, head: str) -> Config:
    """Return a training of two iterations, which validates after each and finds a few objects."""
    cfg = tiny_detector(coco, work_dir, head=head)
    cfg.train_cfg.update(max_iters=2, val_interval=1)
    test_cfg = cfg.model.test_cfg.get("rcnn", cfg.model.test_cfg)
    test_cfg.update(score_thr=0.0, max_per_img=6)
    return cfg


def expected(samples: list[Any], runner: Any, step: int, threshold: float) -> np.ndarray:
    """Draw the panel by reading images and objects in the plainest way; true ones are those of the COCO file."""
    dataset = runner.val_dataloader.dataset
    rows = []
    for number, sample in enumerate(samples):
        info, found = dataset.get_data_info(number), sample.pred_instances
        order = np.argsort(-found.scores.numpy(), kind="stable")
        order = order[found.scores.numpy()[order] >= threshold]
        masks = found.masks.numpy()[order] if "masks" in found else None
        boxes = np.array([each["bbox"] for each in info["instances"]], np.float32)
        painted = np.zeros((len(boxes), *sample.ori_shape), bool)
        for mask, (left, top, right, bottom) in zip(painted, boxes.astype(int)):
            mask[top:bottom, left:right] = True
        true = Detections(
            boxes,
            np.ones(len(boxes), np.float32),
            np.array([each["bbox_label"] for each in info["instances"]]),
            None if masks is None else painted,
        )
        drawn = Detections(*(found[key].numpy()[order] for key in ("bboxes", "scores", "labels")), masks)
        image = cv2.imread(info["img_path"])[..., ::-1]
        rows.append(Detected(image, drawn, float(found.scores.max()), true))
    title = f"validation at iteration {step}, objects of score {threshold:g} or more"
    return pixels_of(objects_panel(rows, dataset.metainfo["classes"], np.array(dataset.metainfo["palette"]), title))


@pytest.mark.parametrize("head", ["fcos_small", pytest.param("mask_rcnn", marks=pytest.mark.slow)])
def test_the_panel_of_each_validation_shows_what_it_found_and_the_training_is_bit_equal(
    head: str, coco: Path, tmp_path: Path
) -> None:
    plain, found = CommandRunner.from_cfg(detector(coco, tmp_path / "plain", head)), Found()
    plain.register_hook(found)
    plain.train()
    threshold = float(torch.cat([each.pred_instances.scores for each in found.validations[2]]).median())
    cfg = detector(coco, tmp_path / "watched", head)
    watch(cfg, tensorboard=True)
    (panel,) = (hook for hook in cfg.custom_hooks if hook.type == "PanelHook")
    panel.score_threshold = threshold
    runner, found = CommandRunner.from_cfg(cfg), Found()
    runner.register_hook(found)
    runner.train()

    (folder,) = {file.parent for file in (tmp_path / "watched").rglob("events.out.tfevents.*")}
    panels = EventAccumulator(str(folder)).Reload().Images("panel")
    assert [each.step for each in panels] == [1, 2] == [*found.validations]
    for each in panels:
        image = cv2.imdecode(np.frombuffer(each.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        samples = found.validations[each.step]
        assert len(samples) == IMAGES
        assert np.array_equal(image, expected(samples, runner, each.step, threshold))
    weights = [each.model.state_dict().values() for each in (plain, runner)]
    assert all(torch.equal(one, other) for one, other in zip(*weights))


def test_true_objects_that_the_pipeline_resizes_are_not_drawn(coco: Path, tmp_path: Path) -> None:
    cfg = detector(coco, tmp_path, "fcos_small")
    watch(cfg, tensorboard=True)
    assert cfg.custom_hooks[-1].true_objects
    cfg = detector(coco, tmp_path, "fcos_small")
    pipeline = cfg.val_dataloader.dataset.pipeline
    pipeline.insert(1, pipeline.pop([step.type for step in pipeline].index("LoadAnnotations")))
    watch(cfg, tensorboard=True)
    assert cfg.custom_hooks[-1].type == "PanelHook" and not cfg.custom_hooks[-1].true_objects
