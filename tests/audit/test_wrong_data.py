"""Data that is not as its config says is named, with what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.audit.preflight import check_dataset
from davpt_seg.datasets import CheckLabels
from davpt_seg.errors import DataError

from ..scenes import write_ade20k, write_camvid, write_pascal_context
from ..training import CONFIGS


def ade20k(root: Path) -> Config:
    cfg = Config.fromfile(CONFIGS / "davpt" / "upernet_vitl_ade20k.py")
    init_default_scope(cfg.default_scope)
    return Config(dict(cfg.train_dataloader.dataset, data_root=str(root)))


def test_whole_data_sets_are_counted(tmp_path: Path) -> None:
    assert check_dataset(ade20k(write_ade20k(tmp_path / "ade", train=5))) == 5
    context = Config.fromfile(CONFIGS / "davpt" / "upernet_vitl_pascal_context.py").val_dataloader.dataset
    context.data_root = str(write_pascal_context(tmp_path / "context", val=3))
    assert check_dataset(context) == 3


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"images/training' does not exist; check data_root .*--cfg-options"):
        check_dataset(ade20k(tmp_path / "nowhere"))


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    context = Config.fromfile(CONFIGS / "davpt" / "upernet_vitl_pascal_context.py").val_dataloader.dataset
    context.data_root = str(write_pascal_context(tmp_path))
    (tmp_path / "ImageSets" / "SegmentationContext" / "val.txt").unlink()
    with pytest.raises(DataError, match=r"val\.txt' does not exist"):
        check_dataset(context)


def test_a_missing_root_of_pascal_context_is_named_although_mmseg_only_asserts(tmp_path: Path) -> None:
    context = Config.fromfile(CONFIGS / "davpt" / "upernet_vitl_pascal_context.py").val_dataloader.dataset
    context.data_root = str(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"one of 'JPEGImages', .*nowhere' does not exist; check .*PASCAL_CONTEXT_ROOT"):
        check_dataset(context)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    write_ade20k(tmp_path)
    for image in (tmp_path / "images" / "training").iterdir():
        image.unlink()
    with pytest.raises(DataError, match=r"no \*\.jpg in .*images/training"):
        check_dataset(ade20k(tmp_path))


def test_an_image_without_mask_is_named(tmp_path: Path) -> None:
    write_ade20k(tmp_path)
    mask = tmp_path / "annotations" / "training" / "ADE_training_00000002.png"
    mask.unlink()
    with pytest.raises(DataError, match=rf"1 of 4 masks are missing, for instance {mask}"):
        check_dataset(ade20k(tmp_path))


def test_a_listed_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    context = Config.fromfile(CONFIGS / "davpt" / "upernet_vitl_pascal_context.py").val_dataloader.dataset
    context.data_root = str(write_pascal_context(tmp_path))
    (tmp_path / "JPEGImages" / "2008_val_000001.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 2 images are missing, for instance .*2008_val_000001\.jpg"):
        check_dataset(context)


def test_data_sets_of_other_projects_are_left_alone() -> None:
    init_default_scope("mmseg")
    assert check_dataset(Config(dict(type="ConcatDataset", datasets=[]))) == 0


def test_a_mask_with_a_class_beyond_the_data_sets_is_named_when_it_is_read(tmp_path: Path) -> None:
    from mmseg.registry import DATASETS

    write_camvid(tmp_path)
    mask = tmp_path / "annotations" / "train" / "0003.png"
    Image.fromarray(np.full((48, 64), 11, dtype=np.uint8)).save(mask)
    cfg = Config.fromfile(CONFIGS / "davpt" / "linear_vits14_camvid.py")
    init_default_scope(cfg.default_scope)
    dataset = DATASETS.build(dict(cfg.train_dataloader.dataset, data_root=str(tmp_path)))
    assert dataset[2]["inputs"].shape == (3, 168, 224)
    with pytest.raises(ValueError, match=rf"mask '{mask}' holds label 11, but the data set has 11 classes"):
        dataset[3]


def test_labels_are_checked_after_the_shift_that_reduce_zero_label_makes() -> None:
    shifted = dict(gt_seg_map=np.array([[0, 149, 255]]), seg_map_path="mask.png", reduce_zero_label=True)
    assert CheckLabels(150)(shifted) is shifted
    with pytest.raises(ValueError, match="label 149 after reduce_zero_label"):
        CheckLabels(149)(shifted)
