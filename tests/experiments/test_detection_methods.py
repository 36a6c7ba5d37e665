"""Every method on a detector: one training step, the parameters of segmentation, and zero start."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from mmengine.runner import Runner
from torch import nn

from davpt_seg.experiments.compose import compose
from davpt_seg.experiments.fitting import CLASSIFICATION_ONLY
from davpt_seg.training.model import build_model, build_on_meta

from ..coco import tiny_detector, write_coco
from ..training import CONFIGS, logged

pytest.importorskip("mmdet")
ADDED = ("carried", "guidance", "prototypes", "zero_start")  # methods that others are joined with
FILES = sorted(path.stem for path in (CONFIGS / "_base_" / "methods").glob("*.py"))
METHODS = [f"vpt_deep+{name}" if name in ADDED else name for name in FILES if name not in CLASSIFICATION_ONLY]
SMALL = {f"model.{key}": 32 for key in ("neck.out_channels", "bbox_head.in_channels", "bbox_head.feat_channels")}


@pytest.fixture(scope="module")
def coco(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_coco(tmp_path_factory.mktemp("coco"))


def trained(backbone: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(p.shape) for name, p in backbone.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("method", [*METHODS, "davpt+zero_start"])
def test_each_method_trains_the_parameters_of_segmentation_with_finite_losses(
    method: str, coco: Path, tmp_path: Path
) -> None:
    same = compose(method=method, head="upernet", trunk="vitti", data="demo_scenes", schedule="adamw_iters")
    expected = trained(build_on_meta(same).get_submodule("backbone"))
    cfg = tiny_detector(coco, tmp_path, method=method)
    cfg.merge_from_dict({**SMALL, "train_cfg.max_iters": 1, "train_cfg.val_interval": 10})
    runner = Runner.from_cfg(cfg)
    backbone = runner.model.backbone
    assert isinstance(backbone, nn.Module)
    assert trained(backbone) == expected
    before = {name: p.detach().clone() for name, p in runner.model.named_parameters() if p.requires_grad}
    runner.train()
    (row,) = logged(runner)
    losses = {name: value for name, value in row.items() if "loss" in name}
    assert {"loss_cls", "loss_bbox", "loss_centerness"} <= set(losses)
    assert ("loss_metric_patch" in losses) == (backbone.guidance is not None)
    assert torch.isfinite(torch.tensor(list(losses.values()))).all()
    after = dict(runner.model.named_parameters())
    assert any(not torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("method", ["vpt_deep+zero_start", "davpt+zero_start"])
def test_the_first_maps_of_zero_start_are_those_of_the_frozen_trunk_bit_for_bit(
    method: str, coco: Path, tmp_path: Path
) -> None:
    images = torch.rand(2, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    prompted, bare = (
        build_model(tiny_detector(coco, tmp_path, method=name)).get_submodule("backbone") for name in (method, "linear")
    )
    bare.trunk.load_state_dict(prompted.trunk.state_dict())
    with torch.no_grad():
        (first,), (expected,) = prompted.eval()(images), bare.eval()(images)
        assert torch.equal(first, expected)
        for value in prompted.prompts.parameters():
            value.add_(torch.randn(value.shape))
        assert not torch.equal(prompted(images)[0], expected)  # the prompts are read
