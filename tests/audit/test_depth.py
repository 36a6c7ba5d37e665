"""Images and masks of more than 8 bits: converted by a stated range, or refused before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from PIL import Image

from davpt_seg.audit.depth import cuts_images, file_bits
from davpt_seg.audit.preflight import check_dataset
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.datasets import ToEightBit
from davpt_seg.errors import DataError, InputError

from ..scenes import write_camvid

CONVERTED = [dict(type="LoadImageFromFile", color_type=3), dict(type="ToEightBit", max_value=4095)]
LOSSLESS = [dict(type="LoadImageFromFile"), dict(type="LoadLabelMap")]
CUT = [dict(type="LoadImageFromFile"), dict(type="LoadAnnotations")]


def dataset(root: Path, pipeline: list[Any], classes: int = 11, **more: Any) -> dict[str, Any]:
    init_default_scope("mmseg")
    names = tuple(f"class {i}" for i in range(classes))
    prefix = dict(img_path="images/train", seg_map_path="annotations/train")
    config = dict(type="BaseSegDataset", data_root=str(root), data_prefix=prefix, pipeline=pipeline)
    return {**config, "metainfo": dict(classes=names, palette=[[0, 0, 0]] * classes), **more}


def report(root: Path, pipeline: list[Any], classes: int = 11, **more: Any) -> int:
    """Check a data set by the command line; return its exit status."""
    config = root / "config.py"
    config.write_text(f"train_dataloader = dict(dataset={dataset(root, pipeline, classes, **more)!r})\n")
    return main_check_dataset([str(config), "--no-classes"])


@pytest.fixture
def deep_images(tmp_path: Path) -> Path:
    """CamVid with PNG images, one of which has 12 bits in 16."""
    write_camvid(tmp_path)
    for path in (tmp_path / "images" / "train").iterdir():
        Image.open(path).save(path.with_suffix(".png"))
    deep = np.random.default_rng(0).integers(0, 4096, (48, 64, 3)).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "images" / "train" / "0003.png"), deep)
    return tmp_path


@pytest.fixture
def deep_masks(tmp_path: Path) -> Path:
    """CamVid with one mask of 16 bits that holds 257."""
    write_camvid(tmp_path)
    path = tmp_path / "annotations" / "train" / "0003.png"
    mask = np.array(Image.open(path)).astype(np.uint16)
    mask[0, :3] = 257
    Image.fromarray(mask).save(path)
    return tmp_path


def test_a_data_set_with_a_deep_image_is_refused_before_training(deep_images: Path) -> None:
    with pytest.raises(DataError, match=r"image .*0003\.png' has 16 bits a channel, of which the pipeline reads 8"):
        check_dataset(dataset(deep_images, LOSSLESS, img_suffix=".png"))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_header_of_an_image_is_read_once(suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_camvid(tmp_path)
    for path in (tmp_path / "images" / "train").iterdir():
        Image.open(path).save(path.with_suffix(suffix))
    opened: list[str] = []
    original = Image.open
    monkeypatch.setattr(Image, "open", lambda path, *rest: (opened.append(str(path)), original(path, *rest))[1])
    assert check_dataset(dataset(tmp_path, CUT, img_suffix=suffix)) == 6
    assert len(opened) == len(set(opened)) == 12  # images and masks


def test_a_pipeline_that_states_the_range_may_read_it(deep_images: Path) -> None:
    assert check_dataset(dataset(deep_images, [*CONVERTED, LOSSLESS[1]], img_suffix=".png")) == 6


def test_check_dataset_names_deep_images_and_how_to_read_them(
    deep_images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(deep_images, LOSSLESS, img_suffix=".png") == 1
    said = capsys.readouterr().out
    assert "0003.png: 16 bits a channel" in said and "ToEightBit" in said
    assert report(deep_images, [*CONVERTED, LOSSLESS[1]], img_suffix=".png") == 0


def test_a_deep_mask_is_refused_where_it_would_be_cut_and_checked_where_it_is_not(
    deep_masks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DataError, match=r"mask .*0003\.png' has 16 bits .*reads 8: 257 becomes 1.*LoadLabelMap"):
        check_dataset(dataset(deep_masks, CUT))
    assert check_dataset(dataset(deep_masks, LOSSLESS)) == 6
    assert report(deep_masks, CUT) == 1
    said = capsys.readouterr().out
    assert "0003.png: 16 bits a pixel" in said and "holds 257 (3 pixels); classes are 0 to 10" in said
    assert report(deep_masks, LOSSLESS) == 1
    assert "holds 257 (3 pixels)" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        report(deep_masks, LOSSLESS, classes=300)
    assert "the data set's ignore_index, 255, is one of its 300 classes" in capsys.readouterr().err
    assert report(deep_masks, [LOSSLESS[0], dict(LOSSLESS[1], ignore_index=65535)], 300, ignore_index=65535) == 0
    assert "holds 257" not in capsys.readouterr().out


def test_more_classes_than_8_bits_hold_are_refused_with_mmsegs_own_step(deep_masks: Path) -> None:
    with pytest.raises(DataError, match=r"300 classes, but LoadAnnotations reads 8 bits .*LoadLabelMap"):
        check_dataset(dataset(deep_masks, CUT, classes=300))


@pytest.mark.parametrize("suffix", ["png", "tif", "ppm", "pgm"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_the_depth_is_known_by_the_header(suffix: str, kind: type, tmp_path: Path) -> None:
    shape = (4, 5) if suffix == "pgm" else (4, 5, 3)
    cv2.imwrite(str(tmp_path / f"image.{suffix}"), np.full(shape, 7, kind))
    assert (file_bits(str(tmp_path / f"image.{suffix}")) > 8) == (kind == np.uint16)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_a_deep_file_becomes_the_8_bits_of_its_stated_range(suffix: str, tmp_path: Path) -> None:
    init_default_scope("mmseg")
    path = str(tmp_path / f"image.{suffix}")
    values = np.random.default_rng(0).integers(0, 4096, (6, 5, 3)).astype(np.uint16)
    cv2.imwrite(path, values)
    found = Compose(CONVERTED)(dict(img_path=path))["img"]
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.round(values / 4095 * 255).astype(np.uint8))


def test_gray_and_fractions_become_three_channels_of_8_bits() -> None:
    gray = np.float32([[0, 0.5], [0.25, 1]])
    found = ToEightBit(1)(dict(img=gray))["img"]
    assert found.tolist() == [[[0] * 3, [128] * 3], [[64] * 3, [255] * 3]]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((2, 2, 3), np.uint8), "has 8 bits"),
        (np.full((2, 2, 3), 4096, np.uint16), "values from 4096 to 4096; ToEightBit expects 0 to max_value=4095"),
        (np.full((2, 2, 3), -1.0), "values from -1.0"),
        (np.full((2, 2, 3), np.nan), "values from nan"),
        (np.full((2, 2, 3), 0.5), "fractions need ToEightBit max_value=1"),
        (np.zeros((2, 2, 4), np.uint16), "shape (2, 2, 4)"),
        (np.zeros((0, 2, 3), np.uint16), "values none"),
    ],
)
def test_an_image_outside_the_stated_range_is_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(DataError) as refused:
        ToEightBit(4095)(dict(img=image, img_path="a.png"))
    assert message in str(refused.value) and "'a.png'" in str(refused.value)


@pytest.mark.parametrize("max_value", [0, -1, float("nan"), float("inf"), "4095", True])
def test_a_range_that_is_none_is_refused(max_value: Any) -> None:
    with pytest.raises(InputError, match="max_value must be a number above 0"):
        ToEightBit(max_value)


@pytest.mark.parametrize(
    ("color_type", "cuts"), [(1, True), (0, True), (129, True), (3, False), (131, False), (-1, False)]
)
def test_opencv_s_flags_say_whether_a_step_keeps_the_depth(color_type: int, cuts: bool, tmp_path: Path) -> None:
    """As its name does: what the step makes of 16 bits is the oracle."""
    step = dict(type="LoadImageFromFile", color_type=color_type)
    cv2.imwrite(str(tmp_path / "deep.png"), np.full((4, 5, 3), 4095, np.uint16))
    init_default_scope("mmseg")
    image = Compose([step])(dict(img_path=str(tmp_path / "deep.png")))["img"]
    assert (image.dtype == np.uint8) == cuts == cuts_images([step])
