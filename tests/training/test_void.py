"""With more than 255 classes, the label of void is the same in every part of a config, or the config is refused."""

from __future__ import annotations

from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS
from PIL import Image

from davpt_seg.commands.test import main_test
from davpt_seg.commands.train import main_train
from davpt_seg.errors import InputError
from davpt_seg.training.void import check_void, void_labels

from ..scenes import write_camvid
from . import tiny_camvid

CLASSES = 300
VOID = 65535


def register_many_classes() -> None:
    """Name the classes in a data set class, since MMEngine takes minutes to format a config with so many names."""
    from mmseg.datasets import BaseSegDataset

    palette = np.random.default_rng(0).integers(0, 256, (CLASSES, 3)).tolist()
    metainfo = dict(classes=tuple(f"class {i}" for i in range(CLASSES)), palette=palette)
    DATASETS.register_module(
        name="ManyClasses", module=type("ManyClasses", (BaseSegDataset,), {"METAINFO": metainfo}), force=True
    )


def many_classes(data: Path, work_dir: Path, void: int = VOID) -> Config:
    """The tiny experiment with 300 classes, and one label of void in all its parts, as docs/data.md has it."""
    cfg = tiny_camvid(data, work_dir)
    register_many_classes()
    crop = dict(type="RandomCrop", crop_size=(40, 40), cat_max_ratio=0.75)
    pad = dict(type="Pad", size=(56, 56), pad_val=dict(img=0, seg=255))
    cfg.train_dataloader.dataset.pipeline[3:4] = [crop, pad]
    for head in (cfg.model.decode_head, cfg.model.auxiliary_head):
        head.update(num_classes=CLASSES)
    cfg.model.backbone.guidance.update(num_classes=CLASSES)
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.update(type="ManyClasses", metainfo=None)
        for step in dataset.pipeline:
            if step["type"] == "CheckLabels":
                step["num_classes"] = CLASSES
    if void == 255:
        return cfg
    cfg.model.data_preprocessor.seg_pad_val = void
    for part in (cfg.model.decode_head, cfg.model.auxiliary_head):
        part.ignore_index = void
    cfg.model.backbone.guidance.labelling = dict(ignore_index=void)
    for split in ("train", "val", "test"):
        dataset = cfg[f"{split}_dataloader"].dataset
        dataset.ignore_index = void
        for step in dataset.pipeline:
            if step["type"] in ("LoadLabelMap", "CheckLabels", "RandomCrop"):
                step["ignore_index"] = void
            elif step["type"] == "Pad":
                step["pad_val"]["seg"] = void
    cfg.val_evaluator.ignore_index = cfg.test_evaluator.ignore_index = void
    return cfg


def write_many_classes(root: Path) -> Path:
    """CamVid's layout with masks of 16 bits that hold 0 to 299, and 65535 for void."""
    write_camvid(root)
    rng = np.random.default_rng(1)
    for path in sorted((root / "annotations").rglob("*.png")):
        blocks = rng.choice([*range(CLASSES), VOID], size=(6, 8)).astype(np.uint16)
        blocks[0, 0] = 255
        Image.fromarray(blocks.repeat(8, axis=0).repeat(8, axis=1)).save(path)
    return root


def test_every_part_that_keeps_255_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        check_void(many_classes(tmp_path, tmp_path, void=255))
    for part in (
        "300 classes: every part must have the same label for void, from 300 to 65535",
        "model.data_preprocessor.seg_pad_val=255",
        "model.decode_head.ignore_index=255",
        "model.auxiliary_head.ignore_index=255",
        "model.backbone.guidance.labelling.ignore_index=255",
        "train_dataloader.dataset.ignore_index=255",
        "train_dataloader.dataset.pipeline.1.ignore_index=255",
        "train_dataloader.dataset.pipeline.3.ignore_index=255",
        "train_dataloader.dataset.pipeline.4.pad_val.seg=255",
        "val_evaluator.ignore_index=255",
    ):
        assert part in str(refused.value)


def test_each_part_that_differs_is_refused_and_none_where_all_agree(tmp_path: Path) -> None:
    names = [name for name, _ in void_labels(many_classes(tmp_path, tmp_path))]
    assert len(names) >= 17
    check_void(many_classes(tmp_path, tmp_path))
    cfg = many_classes(tmp_path, tmp_path)
    for name, wrong in zip(names, cycle((255, 299, -1, 65536))):
        cfg.merge_from_dict({name: wrong})
        with pytest.raises(InputError, match=rf"{name}={wrong}\b"):
            check_void(cfg)
        cfg.merge_from_dict({name: VOID})


def test_a_loader_that_reads_8_bits_is_named_wherever_it_is(tmp_path: Path) -> None:
    cfg = many_classes(tmp_path, tmp_path)
    dataset = cfg.train_dataloader.dataset
    dataset.pipeline[1] = dict(type="LoadAnnotations")
    cfg.train_dataloader.dataset = dict(type="ConcatDataset", datasets=[dataset])
    with pytest.raises(InputError, match=r"datasets\.0\.pipeline\.1=LoadAnnotations, which reads 8 bits"):
        check_void(cfg)


def test_nothing_is_asked_of_up_to_255_classes(tmp_path: Path) -> None:
    check_void(tiny_camvid(tmp_path, tmp_path))


def test_the_metric_is_refused_where_it_mixes_classes_up(tmp_path: Path) -> None:
    import torch
    from mmseg.evaluation import IoUMetric

    exact = torch.arange(4096)
    assert IoUMetric.intersect_and_union(exact, exact, 4096, VOID)[0].tolist() == [1] * 4096
    mixed = torch.arange(10_000)
    assert IoUMetric.intersect_and_union(mixed, mixed, 10_000, VOID)[0].tolist() != [1] * 10_000
    cfg = many_classes(tmp_path, tmp_path)
    cfg.model.decode_head.num_classes = 4097
    with pytest.raises(InputError, match="IoUMetric, which counts in float32, distinguishes 4096 classes"):
        check_void(cfg)


def test_300_classes_train_test_and_are_written_with_16_bits(tmp_path: Path) -> None:
    cfg = many_classes(write_many_classes(tmp_path / "data"), tmp_path / "work")
    cfg.dump(tmp_path / "config.py")
    config, work_dir = str(tmp_path / "config.py"), ["--work-dir", str(tmp_path / "work")]
    main_train([config, *work_dir])
    checkpoint, out = str(tmp_path / "work" / "epoch_1.pth"), tmp_path / "out"
    name = ["--cfg-options", f"experiment_name=test_{tmp_path.name}"]
    seen: dict[str, Any] = {}

    from davpt_seg.engine import LabelMapHook

    write = LabelMapHook.draw
    with pytest.MonkeyPatch.context() as patch:

        def see(self: LabelMapHook, sample: Any, dataset: Any) -> Any:
            seen[Path(sample.img_path).stem] = (sample.gt_sem_seg.data[0], sample.pred_sem_seg.data[0])
            sample.pred_sem_seg.data[0, 0, :2] = 299
            return write(self, sample, dataset)

        patch.setattr(LabelMapHook, "draw", see)
        main_test([config, checkpoint, *work_dir, "--out", str(out), "--json", str(tmp_path / "scores.json"), *name])
    assert len(seen) == 2
    for stem, (truth, predicted) in seen.items():
        mask = np.array(Image.open(tmp_path / "data" / "annotations" / "val" / f"{stem}.png"))
        assert np.array_equal(truth.numpy(), mask.astype(np.int64))  # 65535 is there, and so is 255
        written = np.array(Image.open(out / f"{stem}.png"))
        assert written.dtype == np.uint16 and written[0, 0] == 299
        assert np.array_equal(written, predicted.numpy())
