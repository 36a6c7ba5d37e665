"""mmpretrain's configs, its own and another project's, through our scripts: nothing of ``configs/`` of ours."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import mmpretrain
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS

from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.training.model import build_on_meta, count_parameters
from davpt_seg.trust.checkpoints import read

from ..recognition import write_image
from .test_scripts import run

MIM = Path(mmpretrain.__file__).parent / ".mim"
SPLITS = ("train", "val", "test")


def write_imagenet(root: Path) -> None:
    """Write four of ImageNet's classes in its layout, with lists."""
    rng = np.random.default_rng(0)
    (root / "meta").mkdir(parents=True)
    for split, count in (("train", 8), ("val", 6)):
        names = [f"n{i % 4}/{split}_{i}.jpg" for i in range(count)]
        for i, name in enumerate(names):
            write_image(root / split / name, i % 4, rng, size=36)
        (root / "meta" / f"{split}.txt").write_text("".join(f"{name} {i % 4}\n" for i, name in enumerate(names)))


def loaders(**options: object) -> list[str]:
    return [f"{split}_dataloader.{key}={value}" for split in SPLITS for key, value in options.items()]


def test_a_config_file_that_mmpretrain_ships_is_trained_and_tested(tmp_path: Path) -> None:
    write_imagenet(tmp_path / "imagenet")
    config = str(MIM / "configs" / "mobilenet_v2" / "mobilenet-v2_8xb32_in1k.py")
    options = [
        "--cfg-options",
        *loaders(num_workers=0, persistent_workers=False, batch_size=4),
        *loaders(**{"dataset.data_root": tmp_path / "imagenet"}),
        *(f"{split}_dataloader.dataset.pipeline.1.scale=32" for split in SPLITS),
        "train_cfg.max_epochs=1",
        "model.backbone.widen_factor=0.25",
    ]
    scores, again, work = tmp_path / "scores.json", tmp_path / "again.json", tmp_path / "work"
    main_train([config, "--work-dir", str(work), "--test", str(scores), *options])
    main_test([config, str(work / "epoch_1.pth"), "--work-dir", str(tmp_path / "test"), "--json", str(again), *options])
    first, second = json.loads(scores.read_text()), json.loads(again.read_text())
    assert first.keys() == {"accuracy/top1", "accuracy/top5", "about"}
    assert first["about"]["images"] == 6
    assert first["accuracy/top1"] == second["accuracy/top1"]
    assert first["about"]["trained"] == first["about"]["parameters"]  # no ViT of ours in it: nothing is frozen


# davpt_seg is one line here, and a backbone and two hooks.
THEIRS = """
custom_imports = dict(imports=["davpt_seg"], allow_failed_imports=False)
default_scope = "mmpretrain"
pipeline = [dict(type="LoadImageFromFile"), dict(type="Resize", scale=(16, 16)), dict(type="PackInputs")]
train_dataloader = dict(
    batch_size=6,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset=dict(type="CustomDataset", data_root={root!r}, data_prefix="train", pipeline=pipeline),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(type="CustomDataset", data_root={root!r}, data_prefix="val", pipeline=pipeline),
)
test_dataloader = val_dataloader
val_evaluator = [dict(type="Accuracy", topk=(1, 2)), dict(type="SingleLabelMetric", items=["f1-score"])]
test_evaluator = val_evaluator
train_cfg = dict(by_epoch=True, max_epochs=2, val_interval=1)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(optimizer=dict(type="AdamW", lr=1e-2))
default_hooks = dict(logger=dict(type="LoggerHook", interval=1), checkpoint=dict(type="CheckpointHook", interval=1))
model = dict(
    type="ImageClassifier",
    data_preprocessor=dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5], to_rgb=True),
    backbone=dict(
        type="PromptedViT",
        model_name="vit_tiny_patch16_224",
        timm_kwargs=dict(img_size=16, patch_size=8, depth=2, embed_dim=16, num_heads=2),
        out_type="cls_token",
        out_indices=(1,),
        prompts=dict(num_prompts=3),
        guidance=dict(num_classes=6, blocks=[1], labelling=dict(labels="image"), mapping=dict(class_means="image")),
    ),
    head=dict(type="StackedLinearClsHead", num_classes=6, in_channels=16, mid_channels=[8]),
)
custom_hooks = [dict(type="MetricLossHook"), dict(type="PromptMappingHook")]
"""


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 12)):
        for i in range(count):
            write_image(tmp_path / "data" / split / f"kind_{i % 6}" / f"{i}.jpg", i % 6, rng)
    config = tmp_path / "theirs.py"
    config.write_text(THEIRS.format(root=str(tmp_path / "data")))
    return config


def logged(work_dir: Path, key: str) -> list[float]:
    (log,) = work_dir.glob("*/vis_data/scalars.json")
    return [row[key] for row in map(json.loads, log.read_text().splitlines()) if key in row]


def test_another_projects_config_is_guided_and_scored(theirs: Path, tmp_path: Path) -> None:
    work, scores, again = tmp_path / "work", tmp_path / "scores.json", tmp_path / "again.json"
    main_train([str(theirs), "--work-dir", str(work), "--test", str(scores)])
    for name in ("loss_metric_patch", "loss_metric_cls"):
        assert min(logged(work, name)) > 0
    state = read(str(work / "epoch_2.pth"))["state_dict"]  # written by MMEngine's own hook
    assert sorted(state["backbone.guidance.mapping.prompt_of_class"].unique().tolist()) == [0, 1, 2]
    main_test(
        [str(theirs), str(work / "epoch_2.pth"), "--work-dir", str(tmp_path / "test"), "--json", str(again)]
        + ["--confusion-matrix", str(tmp_path / "matrix.png")]
    )
    first, second = json.loads(scores.read_text()), json.loads(again.read_text())
    for key in ("accuracy/top1", "accuracy/top2", "single-label/f1-score"):
        assert first[key] == second[key] == pytest.approx(logged(work, key)[-1])
    assert (tmp_path / "matrix.png").stat().st_size > 10_000


def test_the_config_that_the_document_shows_builds(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "classification.md").read_text()
    (snippet,) = (block for block in re.findall(r"```python\n(.*?)```", text, flags=re.S) if "custom_imports" in block)
    (tmp_path / "shown.py").write_text(snippet)
    cfg = Config.fromfile(tmp_path / "shown.py")
    model = build_on_meta(cfg)
    assert count_parameters(model).backbone_trained == 12 * 10 * 768
    assert model.backbone.guidance.class_means == "image"
    for hook in cfg.custom_hooks:
        HOOKS.build(hook)


@pytest.mark.slow
def test_another_projects_config_trains_with_mmpretrains_own_script(theirs: Path, tmp_path: Path) -> None:
    run(sys.executable, str(MIM / "tools" / "train.py"), str(theirs), "--work-dir", str(tmp_path / "work"))
    assert min(logged(tmp_path / "work", "loss_metric_patch")) > 0
    assert (tmp_path / "work" / "epoch_2.pth").is_file()
