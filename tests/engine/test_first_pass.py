"""The pass that gathers the first class means: where it ends, and that nothing else notices."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
import torch
from mmengine.runner import Runner

from davpt_seg.engine import first_pass
from davpt_seg.engine.first_pass import images_with, observe_training_images
from davpt_seg.engine.guided import guided_backbone

from ..training import tiny_camvid


@pytest.fixture(scope="module")
def runner(camvid: Path, tmp_path_factory: pytest.TempPathFactory) -> Runner:
    """Six images, two a batch; eleven classes, four prompts."""
    cfg = tiny_camvid(camvid, tmp_path_factory.mktemp("first_pass"), **{"model.backbone.prompts.num_prompts": 4})
    runner = Runner.from_cfg(cfg)
    runner.optim_wrapper = runner.build_optim_wrapper(runner.optim_wrapper)  # as it is when training starts
    return runner


def observe(runner: Runner, max_batches: Optional[int], images_per_class: Optional[int]) -> dict[str, Any]:
    backbone, guidance = guided_backbone(runner.model, "test")
    guidance.mapping.reset()
    observe_training_images(runner, backbone, guidance, max_batches, images_per_class)
    return {name: buffer.clone() for name, buffer in guidance.mapping.state_dict().items()}


@pytest.mark.parametrize(
    ("max_batches", "images_per_class", "batches"),
    [(None, None, 3), (2, None, 2), (100, None, 3), (None, 2, 1), (None, 3, 2), (None, 7, 3), (1, 6, 1)],
)
def test_the_pass_ends_at_a_bound_or_when_every_class_has_images_enough(
    max_batches: Optional[int], images_per_class: Optional[int], batches: int, runner: Runner
) -> None:
    # every class is in every image here, so that two more images of each class come with every batch
    patches = runner.model.backbone.patch_size
    counts = observe(runner, max_batches, images_per_class)["class_counts"]
    per_batch = 2 * (168 // patches[0]) * (224 // patches[1])
    assert 0.8 * batches * per_batch < counts.sum() <= batches * per_batch  # the rest is void
    assert runner.model.training


def test_the_rarest_class_decides_when_images_are_enough(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    in_a_batch = torch.tensor([2] * 10 + [1])
    monkeypatch.setattr(first_pass, "images_with", lambda patches, num_classes: in_a_batch)
    for enough, batches in ((3, 3), (2, 2), (1, 1)):
        ended, bounded = observe(runner, None, enough), observe(runner, batches, None)
        assert torch.equal(ended["class_counts"], bounded["class_counts"])


def test_the_pass_is_of_its_seed_alone_and_leaves_random_numbers_as_they_were(runner: Runner) -> None:
    def draw() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    def seed(value: int) -> None:
        random.seed(value)
        np.random.seed(value)
        torch.manual_seed(value)

    means = []
    for value in (1, 2):
        seed(value)
        expected = draw()
        seed(value)
        means.append(observe(runner, 1, None))
        assert draw() == expected
    assert all(torch.equal(buffer, means[1][name]) for name, buffer in means[0].items())
    assert means[0]["class_counts"].sum() > 0


def test_an_image_counts_once_for_each_class_of_its_patches() -> None:
    assert images_with(torch.tensor([[0, 0, 2], [255, 2, -1], [255, 255, 255]]), 4).tolist() == [1, 0, 2, 0]
