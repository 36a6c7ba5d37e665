"""What lies in a data folder and is not read, or is read and should not be, is named before training."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mmengine.config import ConfigDict
from mmengine.registry import DATASETS, init_default_scope
from PIL import Image

from davpt_seg.audit.data_check import DataCheck
from davpt_seg.audit.pairing import overlaps, pairing
from davpt_seg.audit.preflight import check_dataset
from davpt_seg.commands.check_dataset import main_check_dataset
from davpt_seg.errors import DataError

from ..recognition import write_vtab
from .mask_sets import blocks, write_config, write_set


@pytest.fixture(autouse=True)
def _scope() -> None:
    init_default_scope("mmseg")
    import mmseg.datasets  # noqa: F401


@pytest.fixture
def four(tmp_path: Path) -> Any:
    """The config of four images and masks, 000 to 003."""
    return write_set(tmp_path, dict(train=blocks([0, 1], 4)), 2)["train"]


def found(folder: Path, **configs: Any) -> list[tuple[str, str]]:
    """What the check finds: kind and file, in splits and between them."""
    report = folder / "report.json"
    main_check_dataset([write_config(folder, configs), "--workers=1", "--no-classes", "--json", str(report)])
    content = json.loads(report.read_text())
    findings = [f for split in content["splits"] for f in split["findings"]] + content["shared"]
    return sorted((f["kind"], Path(f["path"]).name) for f in findings)


@pytest.mark.parametrize("suffix", [".JPG", ".jpeg", ".JPEG", ".Jpg", ".png", ".PNG", ".webp"])
def test_images_with_a_mask_and_another_suffix_are_named(suffix: str, four: Any, tmp_path: Path) -> None:
    image = tmp_path / "images" / "train" / "002.jpg"
    image.rename(image.with_suffix(suffix))
    with pytest.raises(DataError, match=rf"1 images that have a mask are not read.*002\{suffix}; rename them"):
        check_dataset(four)
    assert found(tmp_path, train=four) == [("not read", f"002{suffix}")]  # and not: mask without image
    image.with_suffix(suffix).rename(image)
    assert check_dataset(four) == 4


def test_masks_with_another_suffix_are_named_as_what_is_there(four: Any, tmp_path: Path) -> None:
    mask = tmp_path / "masks" / "train" / "002.png"
    mask.rename(mask.with_suffix(".PNG"))
    with pytest.raises(DataError, match=r"1 of 4 masks are missing.*\(there is .*002\.PNG: rename it, or set "):
        check_dataset(four)
    (tmp_path / "images" / "train" / "002.jpg").rename(tmp_path / "images" / "train" / "002.JPG")
    with pytest.raises(DataError, match=r"1 images that have a mask are not read"):
        check_dataset(four)


def test_a_folder_of_other_suffixes_alone_says_which(four: Any, tmp_path: Path) -> None:
    for image in (tmp_path / "images" / "train").iterdir():
        image.rename(image.with_suffix(".JPG"))
    with pytest.raises(DataError, match=r"no \*\.jpg in .*, but 4 \*\.JPG: set img_suffix"):
        check_dataset(four)
    four.img_suffix = ".JPG"
    assert check_dataset(four) == 4


def test_suffixes_with_a_name_in_them_are_compared_whole(tmp_path: Path) -> None:
    """Cityscapes' layout."""
    config = write_set(tmp_path, dict(train=blocks([0, 1], 4)), 2)["train"]
    for kind, suffix in (("images", "_leftImg8bit.jpg"), ("masks", "_labelTrainIds.png")):
        for path in list((tmp_path / kind / "train").iterdir()):
            path.rename(path.with_name(path.stem + suffix))
    config.update(img_suffix="_leftImg8bit.jpg", seg_map_suffix="_labelTrainIds.png")
    assert check_dataset(config) == 4
    image = tmp_path / "images" / "train" / "001_leftImg8bit.jpg"
    image.rename(image.with_name("001_leftImg8bit.JPG"))
    with pytest.raises(DataError, match=r"001_leftImg8bit\.JPG"):
        check_dataset(config)


def test_files_that_mean_nothing_are_no_problem(four: Any, tmp_path: Path) -> None:
    images, masks = tmp_path / "images" / "train", tmp_path / "masks" / "train"
    shutil.copy(images / "000.jpg", images / "000.png")  # another format of an image that is read
    shutil.copy(images / "000.jpg", images / "unlabelled.JPG")
    for name in ("Thumbs.db", ".DS_Store", "._000.jpg", "readme.txt"):
        (images / name).write_bytes(b"?")
    (masks / ".ipynb_checkpoints").mkdir()
    shutil.copy(masks / "000.png", masks / ".ipynb_checkpoints" / "000-checkpoint.png")
    assert check_dataset(four) == 4
    assert found(tmp_path, train=four) == []


def test_images_and_masks_in_one_folder_are_told_apart(four: Any, tmp_path: Path) -> None:
    together = tmp_path / "together"
    together.mkdir()
    for kind in ("images", "masks"):
        for path in (tmp_path / kind / "train").iterdir():
            shutil.copy(path, together)
    four.data_prefix = dict(img_path="together", seg_map_path="together")
    assert check_dataset(four) == 4
    (together / "003.jpg").rename(together / "003.JPG")
    with pytest.raises(DataError, match=r"1 images that have a mask are not read.*003\.JPG"):
        check_dataset(four)


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".Trashes", "__MACOSX", "@eaDir", "sub/.cache"])
def test_copies_in_hidden_folders_are_named(name: str, four: Any, tmp_path: Path) -> None:
    for kind, suffix in (("images", ".jpg"), ("masks", ".png")):
        folder = tmp_path / kind / "train" / name
        folder.mkdir(parents=True)
        shutil.copy(tmp_path / kind / "train" / f"001{suffix}", folder / f"001-checkpoint{suffix}")
    with pytest.raises(DataError, match=r"1 images are read from hidden folders.*001-checkpoint\.jpg; delete these"):
        check_dataset(four)
    assert found(tmp_path, train=four) == [("hidden", "001-checkpoint.jpg")]
    shutil.rmtree(tmp_path / "masks" / "train" / Path(name).parts[0])
    with pytest.raises(DataError, match=r"read from hidden folders"):  # rather than: restore the mask
        check_dataset(four)


def test_a_data_root_in_a_hidden_folder_is_no_problem(tmp_path: Path) -> None:
    assert check_dataset(write_set(tmp_path / ".cache" / "data", dict(train=blocks([0, 1])), 2)["train"]) == 3


def test_a_list_decides_what_is_read(four: Any, tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("000\n001\n")
    (tmp_path / "images" / "train" / "002.jpg").rename(tmp_path / "images" / "train" / "002.JPG")
    four.ann_file = "train.txt"
    assert check_dataset(four) == 2


def test_a_config_may_say_that_files_are_meant_so(four: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "images" / "train" / "002.jpg").rename(tmp_path / "images" / "train" / "002.JPG")
    with caplog.at_level(logging.WARNING, "davpt_seg"):
        assert check_dataset(four, DataCheck(files="warn")) == 3
    assert "1 images that have a mask are not read" in caplog.text


def test_jpeg_masks_are_refused_by_their_suffix(tmp_path: Path) -> None:
    config = write_set(tmp_path, dict(train=blocks([0, 1])), 2)["train"]
    for path in list((tmp_path / "masks" / "train").iterdir()):
        Image.open(path).save(path.with_suffix(".jpg"))
        path.unlink()
    config.seg_map_suffix = ".jpg"
    with pytest.raises(DataError, match=r"3 masks are JPEG, which changes labels along every border.*as PNG"):
        check_dataset(config)
    assert ("lossy", "000.jpg") in found(tmp_path, train=config)


def test_joined_data_sets_are_checked_too(four: Any, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", dict(train=blocks([0, 1])), 2)["train"]
    joined = ConfigDict(type="ConcatDataset", datasets=[four, dict(type="RepeatDataset", times=2, dataset=other)])
    assert check_dataset(joined) == 7
    (tmp_path / "other" / "masks" / "train" / "000.png").unlink()
    with pytest.raises(DataError, match=r"1 of 3 masks are missing"):
        check_dataset(joined)


def test_a_folder_is_listed_once_for_all_missing_masks(
    four: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong seg_map_suffix in a data set of 20,000 masks must not read a folder of 20,000 names 20,000 times."""
    for path in (tmp_path / "masks" / "train").iterdir():
        path.rename(path.with_suffix(".PNG"))
    calls, listdir = [], os.listdir
    monkeypatch.setattr(os, "listdir", lambda *folder: (calls.append(folder), listdir(*folder))[1])
    dataset = DATASETS.build({**four, "lazy_init": True})
    findings = pairing(dataset, dataset.load_data_list())
    assert [finding.kind for finding in findings] == ["missing mask"] * 4
    assert all(f"{Path(finding.path).stem}.PNG: rename it" in finding.detail for finding in findings)
    assert calls == [(str(tmp_path / "masks" / "train"),)]


def test_images_of_any_training_set_are_found_in_other_splits(four: Any, tmp_path: Path) -> None:
    other = write_set(tmp_path / "other", dict(train=blocks([0, 1])), 2)["train"]
    for splits in (dict(train=four, val=four), {"train 1": other, "train 2": four, "val": four}):
        assert [finding.detail for finding in overlaps(splits)] == ["in val"] * 4


# --- One image under two names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["copied", "stored again without loss"])
def test_an_image_in_training_and_validation_under_two_names_is_found(
    how: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = write_set(tmp_path, dict(train=blocks([0, 1]), val=blocks([0, 1], seed=1)), 2)
    for split in ("train", "val"):
        for path in list((tmp_path / "images" / split).iterdir()):
            Image.open(path).save(path.with_suffix(".png"))
            path.unlink()
        configs[split].img_suffix = ".png"
    source, target = tmp_path / "images" / "train" / "001.png", tmp_path / "images" / "val" / "002.png"
    if how == "copied":
        shutil.copy(source, target)
    else:
        Image.open(source).save(target, compress_level=1)
        assert source.read_bytes() != target.read_bytes()
    assert found(tmp_path, **configs) == [("same content", "002.png")]
    said = re.sub(r"\s+", " ", capsys.readouterr().out)
    assert f"{target}: of val, is {source} of train" in said


def test_different_images_of_one_size_are_no_copies(tmp_path: Path) -> None:
    configs = write_set(tmp_path, dict(train=blocks([0, 1]), val=blocks([0, 1], seed=1)), 2)
    assert found(tmp_path, **configs) == []
    images = [np.array(Image.open(path)) for path in (tmp_path / "images").rglob("*.jpg")]
    assert len({image.shape for image in images}) == 1


# --- Lists of labelled images -------------------------------------------------------------------------------------


def test_hidden_copies_in_a_list_are_named(tmp_path: Path) -> None:
    root = write_vtab(tmp_path, "mine", train=8)
    folder = root / "mine" / "images" / "train800"
    (folder / ".ipynb_checkpoints").mkdir()
    shutil.copy(folder / "000001.jpg", folder / ".ipynb_checkpoints" / "000001-checkpoint.jpg")
    config = ConfigDict(type="VTABDataset", data_root=str(root), dataset="mine", split="train800")
    assert check_dataset(config) == 8
    with (root / "mine" / "train800.txt").open("a") as file:
        file.write("\nimages/train800/.ipynb_checkpoints/000001-checkpoint.jpg 1\n")
    with pytest.raises(DataError, match=r"1 images are read from hidden folders"):
        check_dataset(config)
    assert ("hidden", "000001-checkpoint.jpg") in found(tmp_path, train=config)
    assert check_dataset(config, DataCheck(files="warn")) == 9
    warned = write_config(tmp_path, dict(train=config), data_check=dict(files="warn"))
    report = tmp_path / "warned.json"
    main_check_dataset([warned, "--workers=1", "--json", str(report)])
    (split,) = json.loads(report.read_text())["splits"]
    assert [finding["kind"] for finding in split["notes"]] == ["hidden"]
    assert "hidden" not in [finding["kind"] for finding in split["findings"]]


def test_the_same_pixels_in_two_lists_are_found_whatever_the_file(tmp_path: Path) -> None:
    root = write_vtab(tmp_path, "mine")
    images = root / "mine" / "images"
    content = (images / "train800" / "000001.jpg").read_bytes()
    (images / "test" / "000000.jpg").write_bytes(content + b"trailing bytes that no reader reads")
    split = {
        name: dict(type="VTABDataset", data_root=str(root), dataset="mine", split=name) for name in ("train800", "test")
    }
    assert ("same content", "000000.jpg") in found(tmp_path, train=split["train800"], test=split["test"])
